/** The import rules of the source tree: what each folder may import from the others. Nothing points back. */
const folders = {
  lib: [],
  domain: ["lib"],
  telemetry: ["lib"],
  fetching: ["domain", "lib"],
  imaging: ["domain", "lib"],
  storage: ["domain", "lib", "telemetry"],
  engine: ["domain", "lib", "telemetry"],
  catalog: ["domain", "engine/engine.ts", "lib"],
  templates: ["domain", "lib", "storage"],
  jobs: ["catalog", "domain", "engine/engine.ts", "imaging", "lib", "storage", "telemetry", "templates"],
  assets: ["domain", "fetching/url-fetcher.ts", "imaging", "lib", "storage"],
  server: [
    "assets",
    "catalog",
    "domain",
    "engine/engine.ts",
    "jobs",
    "lib",
    "storage",
    "telemetry",
    "templates",
  ],
  cli: ["lib"],
  config: ["lib"],
};

/** Folders in which each technology has a folder of its own, beside the interfaces that it implements. */
const technologies = ["engine", "fetching", "imaging", "storage"];

export default {
  forbidden: [
    {
      name: "no-cycles",
      severity: "error",
      from: {},
      to: { circular: true, dependencyTypesNot: ["type-only"] },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "no-dev-dependencies",
      severity: "error",
      from: { path: "^src", pathNot: "\\.test\\.ts$|/testing/" },
      to: { dependencyTypes: ["npm-dev"], dependencyTypesNot: ["type-only"] },
    },
    ...Object.entries(folders).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `src/${folder} may import ${[folder, ...allowed].join(", ")}`,
      severity: "error",
      from: { path: `^src/${folder}/`, pathNot: "\\.test\\.ts$|/testing/" },
      to: { path: "^src/", pathNot: [folder, ...allowed].map((place) => `^src/${place}(/|$)`) },
    })),
    ...technologies.map((folder) => ({
      name: `${folder}-technologies-apart`,
      comment: `the folders in src/${folder} know nothing of each other`,
      severity: "error",
      from: { path: `^src/${folder}/([^/]+)/`, pathNot: "\\.test\\.ts$" },
      to: { path: `^src/${folder}/[^/]+/`, pathNot: `^src/${folder}/$1/` },
    })),
    {
      name: "services-know-only-interfaces",
      severity: "error",
      from: { path: "^src/(assets|catalog|jobs|server)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/(engine|fetching|imaging|storage)/[^/]+/" },
    },
    {
      name: "gen-is-for-the-edges",
      comment: "only the server and the command line know protobuf",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(server|cli)/|^src/app\\.ts$|\\.test\\.ts$" },
      to: { path: "^gen/" },
    },
    {
      name: "config-is-for-the-top",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(config/|commands/|main\\.ts|app/|app\\.ts)|\\.test\\.ts$" },
      to: { path: "^src/config/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".d.ts"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
    },
    tsPreCompilationDeps: true,
  },
};

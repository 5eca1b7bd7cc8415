import { readdirSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PythonError } from "./python.ts";

/** The directories that files can be in. */
export type FileType = "output" | "input" | "temp";

/** Where a file is, as the protocol names it: an alias, which JSON may hold, and no interface. */
export type FileRef = {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: FileType;
};

/** A file to be saved. */
export interface NewFile {
  readonly data: Buffer;
  /** Of its name, such as `png`. */
  readonly extension: string;
  /** Size of a picture in pixels, for prefixes that name it; 0 for what is none. */
  readonly width: number;
  readonly height: number;
}

/** The directories of the engine. Disposing of it removes those that it made. */
export interface FileStore extends AsyncDisposable {
  readonly directories: Readonly<Record<FileType, string>>;
  /** Names of the files directly in the input directory, sorted. */
  readonly inputs: () => readonly string[];
  /** Path of a file given as in a graph: `sub/name.png`, `name.png [temp]`. */
  readonly pathOf: (annotatedName: string) => string;
  /**
   * Saves files under the next free numbers of `prefix`, in order, and returns where they are.
   *
   * @throws PythonError if the prefix leads out of the directory
   */
  readonly save: (type: FileType, prefix: string, files: readonly NewFile[]) => Promise<FileRef[]>;
  /** Removes all temporary files, as a restart does. */
  readonly clearTemp: () => Promise<void>;
}

/**
 * Opens the directories: `outputDirectory` for what prompts leave, if given, and a fresh temporary directory for the
 * rest, which is removed on dispose.
 */
export async function openFileStore(outputDirectory: string | undefined): Promise<FileStore> {
  const base = await mkdtemp(path.join(tmpdir(), "comfyrpc-engine-"));
  const directories = {
    output: path.resolve(outputDirectory ?? path.join(base, "output")),
    input: path.join(base, "input"),
    temp: path.join(base, "temp"),
  };
  await Promise.all(Object.values(directories).map((directory) => mkdir(directory, { recursive: true })));
  const counters = new CounterTable();
  let clearing = Promise.resolve();
  return {
    directories,
    inputs: () =>
      readdirSync(directories.input, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => entry.name)
        .sort(),
    pathOf: (name) => {
      const { filename, type } = parseAnnotated(name);
      return path.resolve(directories[type ?? "input"], filename);
    },
    save: (type, prefix, files) => saveFiles(directories[type], type, counters, prefix, files),
    clearTemp: () => {
      clearing = clear(directories.temp);
      return clearing;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.allSettled([clearing]); // It makes a directory that would be left behind.
      await rm(base, { recursive: true, force: true });
    },
  };
}

async function clear(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
}

/** Splits `name.png [temp]` into name and directory. */
export function parseAnnotated(name: string): {
  readonly filename: string;
  readonly type: FileType | undefined;
} {
  for (const type of ["output", "input", "temp"] as const) {
    if (name.endsWith(`[${type}]`)) {
      return { filename: name.slice(0, -type.length - 3), type };
    }
  }
  return { filename: name, type: undefined };
}

/** Whether `target` is `directory` or within it. */
export function isWithin(directory: string, target: string): boolean {
  const relative = path.relative(directory, target);
  return (
    relative === "" ||
    (relative !== ".." && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative))
  );
}

async function saveFiles(
  directory: string,
  type: FileType,
  counters: CounterTable,
  prefix: string,
  files: readonly NewFile[],
): Promise<FileRef[]> {
  const [first] = files;
  const normal = path.normalize(fillIn(prefix, first?.width ?? 0, first?.height ?? 0));
  const parent = path.dirname(normal);
  const subfolder = parent === "." ? "" : parent;
  const base = normal === "." || prefix === "" ? "" : path.basename(normal);
  const target = path.resolve(directory, subfolder);
  if (!isWithin(directory, target)) {
    throw new PythonError("Exception", "**** ERROR: Saving image outside the output folder is not allowed.");
  }
  await mkdir(target, { recursive: true });
  let counter = await counters.next(target, base);
  const refs: FileRef[] = [];
  for (const [index, file] of files.entries()) {
    const number = String(counter).padStart(5, "0");
    const filename = `${base.replaceAll("%batch_num%", String(index))}_${number}_.${file.extension}`;
    await writeFile(path.join(target, filename), file.data);
    refs.push({ filename, subfolder, type });
    counter++;
  }
  await counters.remember(target, base, counter - 1);
  return refs;
}

/** Fills in the variables that a prefix may hold. */
function fillIn(prefix: string, width: number, height: number): string {
  if (!prefix.includes("%")) {
    return prefix;
  }
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, "0");
  const variables: Readonly<Record<string, string>> = {
    width: String(width),
    height: String(height),
    year: String(now.getFullYear()),
    month: two(now.getMonth() + 1),
    day: two(now.getDate()),
    hour: two(now.getHours()),
    minute: two(now.getMinutes()),
    second: two(now.getSeconds()),
  };
  return prefix.replace(/%(\w+)%/g, (whole, name: string) => variables[name] ?? whole);
}

/** A directory of this size or less is read anew every time: that is quick, and cannot be out of date. */
const SMALL_DIRECTORY = 256;

/**
 * Highest number in use for each prefix of a directory. ComfyUI reads the directory at every save; in one with
 * thousands of files that would take longer than the picture, so what was read is kept as long as the directory has
 * not changed since.
 */
class CounterTable {
  readonly #directories = new Map<string, { changedMs: number; highest: Map<string, number> }>();

  /** One more than the highest number in use; the number of a deleted last file is used again. */
  async next(directory: string, base: string): Promise<number> {
    const known = this.#directories.get(directory);
    if (known && known.changedMs === (await changeTime(directory))) {
      return (known.highest.get(base) ?? 0) + 1;
    }
    const names = await readdir(directory);
    const highest = highestNumbers(names);
    this.#directories.delete(directory);
    if (names.length > SMALL_DIRECTORY) {
      this.#directories.set(directory, { changedMs: 0, highest });
    }
    return (highest.get(base) ?? 0) + 1;
  }

  async remember(directory: string, base: string, number: number): Promise<void> {
    const known = this.#directories.get(directory);
    if (known) {
      known.highest.set(base, number);
      known.changedMs = await changeTime(directory);
    }
  }
}

async function changeTime(directory: string): Promise<number> {
  return (await stat(directory)).mtimeMs;
}

function highestNumbers(names: readonly string[]): Map<string, number> {
  const highest = new Map<string, number>();
  for (const name of names) {
    const match = /^(.*)_(\d+)_/.exec(name);
    if (match) {
      const base = match[1] ?? "";
      highest.set(base, Math.max(highest.get(base) ?? 0, Number(match[2])));
    }
  }
  return highest;
}

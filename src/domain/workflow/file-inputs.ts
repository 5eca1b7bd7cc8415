import type { GraphValue } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { isCheckedFile } from "./own-checks.ts";

/**
 * Whether an input names a file, a directory or an address for the backend to read or write. Nothing in the description
 * of a class says so for sure; it is told by
 * - options by which the editor offers an upload or completes paths;
 * - words in the name of an input that may be given a text, such as `path`, `file`, `dir` or `url`;
 * - any single-line text input of a class whose name says that it loads or imports something.
 *
 * A choice out of a list of the backend's own is no such input: it can only be one of the list.
 */
export function isFileInput(nodeClass: NodeClass, input: NodeInput): boolean {
  const { name, type, options, choices } = input;
  if (isCheckedFile(nodeClass, input) || uploadOptions.some((option) => Object.hasOwn(options, option))) {
    return true;
  }
  if (choices !== undefined || plainTypes.has(type)) {
    return false;
  }
  const isText = type === "STRING" || type === "COMBO";
  return isFileName(name) || (isText && options.multiline !== true && loadsFiles(nodeClass));
}

/** Types of which no value is a text. */
const plainTypes: ReadonlySet<string> = new Set(["INT", "FLOAT", "BOOLEAN"]);

/** Whether an input that the class does not declare is called as if it named a file. */
export function isFileName(inputName: string): boolean {
  return wordsOf(inputName).some((word) => fileWords.has(word));
}

/**
 * Why a text must not name a file or an address of the backend, as a part of a sentence: because it leads, or may lead,
 * out of the directory that the node reads or writes. `undefined` if it stays inside.
 */
export function outsideBecause(text: string): string | undefined {
  for (const line of text.split(/[\r\n]+/)) {
    const path = withoutQuotes(line);
    const reason = outsideReasons.find(([, pattern]) => pattern.test(path))?.[0];
    if (reason !== undefined) {
      return reason;
    }
  }
  return undefined;
}

/**
 * Why a text must not name a file, as {@link outsideBecause} says it: because it names a directory in which this service
 * has backends keep the files of all jobs, or something below it. What jobs read is right in such a one, by names that
 * nobody can guess.
 */
export function othersBecause(text: string): string | undefined {
  return jobDirectory.test(text) ? "names a directory of the files of all jobs" : undefined;
}

const jobDirectory = /(?:^|[/\\])comfyrpc(?![/\\][\w-]+\.\w+(?: \[input\])?$)(?:[/\\]|\s|$)/im;

/** All texts within a value, names of members included, in no order. */
export function* textsIn(value: GraphValue): Generator<string> {
  const left: GraphValue[] = [value];
  for (let one = left.pop(); one !== undefined; one = left.pop()) {
    if (typeof one === "string") {
      yield one;
    } else if (typeof one === "object" && one !== null) {
      for (const [key, member] of Object.entries(one)) {
        left.push(key, member);
      }
    }
  }
}

/** Options of the editor, of ComfyUI and of widespread packages, that only inputs for files have. */
const uploadOptions = [
  "image_upload",
  "audio_upload",
  "video_upload",
  "file_upload",
  "image_folder",
  "vhs_path_extensions",
];

const fileWords: ReadonlySet<string> = new Set([
  "path",
  "paths",
  "filepath",
  "file",
  "files",
  "filename",
  "filenames",
  "dir",
  "directory",
  "directories",
  "folder",
  "folders",
  "subfolder",
  "url",
  "urls",
  "uri",
]);

const outsideReasons: readonly (readonly [string, RegExp])[] = [
  ["is an absolute path", /^[/~]/],
  ["has a drive letter", /^[a-z]:(?!\/\/)/i],
  ["is an address", /^[a-z][a-z0-9+.-]*:\/\/|^file:/i],
  ["has a backslash", /\\/],
  ['has ".." in it', /(?:^|\/)\s*\.\.+\s*(?:\/|$)/],
  ["has control characters in it", /\p{Cc}/u],
  ["names an output of the backend, which may be another job's", /\[\s*(?:output|temp)\s*\]$/i],
];

/** Without spaces and quotes around it, which nodes strip, as people copy them along with a path. */
function withoutQuotes(line: string): string {
  const start = line.search(/[^\s"'`]/);
  if (start === -1) {
    return "";
  }
  // Not by one more expression, which would try every space of a long row as the first of the last ones.
  let end = line.length;
  while (/[\s"'`]/.test(line.charAt(end - 1))) {
    end -= 1;
  }
  return line.slice(start, end);
}

function loadsFiles({ name }: NodeClass): boolean {
  return wordsOf(name).some((word) => loadWords.has(word));
}

const loadWords: ReadonlySet<string> = new Set([
  "load",
  "loader",
  "import",
  "importer",
  "open",
  "read",
  "reader",
]);

/** The words that `someName`, `SomeName`, `some_name` or `Some Name 2` is made of, in lowercase. */
function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])(?=[A-Z][a-z])/g, "$1 ")
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== "");
}

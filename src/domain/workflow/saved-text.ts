/** What a text becomes when the editor sends it. */
export interface SentText {
  readonly text: string;
  /** Whether the editor would have drawn lots. */
  readonly isRandom: boolean;
}

/**
 * Takes out the comments of a prompt, as of a C program, and settles each choice `{a|b}`: the editor draws lots for it,
 * here the first one is taken, so that a workflow is always the same graph.
 *
 * See `processDynamicPrompt` in `formatUtil.ts` of ComfyUI's frontend.
 */
export function settlePrompt(prompt: string): SentText {
  const bare = withoutComments(prompt);
  let text = "";
  let isRandom = false;
  /** Of each choice that is open: whether its first part is over. */
  const open: boolean[] = [];
  let over = 0;
  for (let i = 0; i < bare.length; i += 1) {
    const char = bare.charAt(i);
    if (char === "{") {
      open.push(false);
    } else if (char === "}" && open.length > 0) {
      over -= open.pop() === true ? 1 : 0;
    } else if (char === "|" && open.length > 0) {
      isRandom = true;
      over += open.at(-1) === true ? 0 : 1;
      open[open.length - 1] = true;
    } else if (over === 0) {
      const isEscape = char === "\\" && i + 1 < bare.length;
      text += isEscape ? unescaped(bare.slice(i, i + 2)) : char;
      i += isEscape ? 1 : 0;
    } else if (char === "\\") {
      i += 1;
    }
  }
  return { text, isRandom };
}

function unescaped(pair: string): string {
  return "{}|".includes(pair.charAt(1)) ? pair.charAt(1) : pair;
}

/** A regular expression would look for the end of each `/*` anew. */
function withoutComments(text: string): string {
  let bare = "";
  let from = 0;
  let end = 0;
  for (const { index, 0: opening } of text.matchAll(/\/[/*]/g)) {
    if (index < from) {
      continue;
    }
    if (opening === "//") {
      const line = text.slice(index).search(/[\n\r\u2028\u2029]/);
      end = line === -1 ? text.length : index + line;
    } else if (end !== -1) {
      end = text.indexOf("*/", index + 2);
    }
    if (opening === "//" || end !== -1) {
      bare += text.slice(from, index);
      from = opening === "//" ? end : end + 2;
    }
  }
  return bare + text.slice(from);
}

/**
 * Replaces `%NODE.WIDGET%` by the value of a widget, as `valueNamed` knows it, and `%date:…%` by what ComfyUI itself replaces
 * when it saves a file: the conversion has no clock, and a graph may be run on another day.
 *
 * See `applyTextReplacements` in `searchAndReplace.ts` of ComfyUI's frontend.
 */
export function replaceNames(
  text: string,
  valueNamed: (nodeName: string, widgetName: string) => string | undefined,
): string {
  return text.replace(/%([^%]+)%/g, (whole, name: string) => {
    if (name.startsWith("date:")) {
      return dateVariables(name.slice("date:".length));
    }
    const [nodeName, widgetName, ...rest] = name.split(".");
    const value =
      nodeName === undefined || widgetName === undefined || rest.length > 0
        ? undefined
        : valueNamed(nodeName, widgetName);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are not allowed in file names
    return value?.replaceAll(/[/?<>\\:*|"\x00-\x1f\x7f]/g, "_") ?? whole;
  });
}

/** ComfyUI knows one way to write each part, with leading zeros and the year in full. */
function dateVariables(format: string): string {
  return format.replace(/yyyy|yy|MM?|dd?|hh?|mm?|ss?/g, (part) => `%${dateParts[part.charAt(0)]}%`);
}

const dateParts: Readonly<Record<string, string>> = {
  y: "year",
  M: "month",
  d: "day",
  h: "hour",
  m: "minute",
  s: "second",
};

import { describe, expect, it } from "vitest";
import { buildNodeClass } from "../../../test/support/node-classes.ts";
import type { GraphValue } from "../graph.ts";
import type { NodeClass, NodeInput } from "../node-class.ts";
import { checkPolicy } from "./policy.ts";

function declare(name: string, inputs: readonly Partial<NodeInput>[]): NodeClass {
  return buildNodeClass(name, {
    inputs: inputs.map((input) => ({ name: "it", isRequired: true, type: "STRING", options: {}, ...input })),
  });
}

function nested(depth: number, value: GraphValue): GraphValue {
  return depth === 0 ? value : [nested(depth - 1, value)];
}

/** Looks like a path in every way. */
const LISTED = "/imagine a\\b .. and ../..";

const open = { allowedClasses: [], deniedClasses: [], allowPaths: false };

function refused(nodeClass: NodeClass, inputs: Record<string, GraphValue>): (string | undefined)[] {
  const graph = { "1": { class_type: nodeClass.name, inputs } };
  return checkPolicy(graph, new Map([[nodeClass.name, nodeClass]]), open).map(({ inputName }) => inputName);
}

describe("checkPolicy", () => {
  it.each([
    [[], [], true],
    [["Save*"], [], true],
    [["Load*", "SaveImage"], [], true],
    [["Load*"], [], false],
    [[], ["Save*"], false],
    [["*"], ["*Image"], false],
    [[], ["Image", "saveimage", "Save.mage"], true],
  ])("allows %j and denies %j", (allowedClasses, deniedClasses, isAllowed) => {
    const graph = { "1": { class_type: "SaveImage", inputs: {} } };
    expect(checkPolicy(graph, new Map(), { allowedClasses, deniedClasses, allowPaths: false })).toMatchObject(
      isAllowed ? [] : [{ kind: "class_not_allowed", nodeId: "1" }],
    );
  });

  it.each([
    "/etc/passwd",
    " '/etc/passwd'",
    "~/.ssh/id_rsa",
    "C:secret.png",
    "\\\\host\\share",
    "a\\..\\b",
    "..",
    "a/../../b",
    "a/.. /b",
    "a\n/etc/passwd",
    "a\u0000.png",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "http://169.254.169.254/",
    "job.png [output]",
    "job.png[temp]",
  ])("refuses %j as the name of a file", (text) => {
    const save = declare("Save", [{ name: "filename_prefix" }]);
    expect(refused(save, { filename_prefix: text })).toEqual(["filename_prefix"]);
    expect(refused(save, { filename_prefix: { __value__: ["a", text] } })).toEqual(["filename_prefix"]);
    expect(
      checkPolicy({ "1": { class_type: "Save", inputs: { filename_prefix: text } } }, new Map(), {
        ...open,
        allowPaths: true,
      }),
    ).toEqual([]);
  });

  it.each([
    ["spaces", { path: `a${" ".repeat(1_000_000)}b` }],
    ["capital letters", { [`${"A".repeat(1_000_000)}_path`]: "a" }],
    ["lists", { path: { __value__: nested(90, Array(100_000).fill("a/b")) } }],
  ])("is not kept busy by rows of %s", (_what, inputs) => {
    expect(refused(declare("Save", []), inputs)).toEqual([]);
  });

  it.each(["", "a.png", "a/b c/d.png", "a..b.png", "%date:yyyy-MM-dd%/x", "ä 🦊.png", "a.png [input]"])(
    "takes %j as the name of a file",
    (text) => {
      expect(refused(declare("Save", [{ name: "filename_prefix" }]), { filename_prefix: text })).toEqual([]);
    },
  );

  it.each<[string, string, Partial<NodeInput>]>([
    ["an upload", "Mine", { type: "COMBO", choices: ["a.png"], options: { image_upload: true } }],
    ["a choice that is fetched, of a class that loads", "LoadImageOutput", { type: "COMBO" }],
    ["a text of a class that loads", "VHS_LoadVideo", { name: "video" }],
    ["a text of a class that imports", "ImportMesh", { name: "mesh" }],
    ["a path", "Mine", { name: "outputPath" }],
    ["a path in many lines", "Mine", { name: "file_paths", options: { multiline: true } }],
    ["a directory", "Mine", { name: "Directory 2" }],
    ["an address", "Mine", { name: "imageURL" }],
    ["a file of any type", "Mine", { name: "file", type: "*" }],
    ["a file of a type of its own", "Mine", { name: "video_path", type: "VIDEOPATH" }],
    ["what is not in a list", "Mine", { type: "COMBO", choices: ["a.mp4"] }],
    ["what LoadLatent loads", "LoadLatent", { name: "latent", type: "COMBO", choices: [] }],
  ])("counts %s as the name of a file", (_what, className, input) => {
    const nodeClass = declare(className, [input]);
    expect(refused(nodeClass, { [input.name ?? "it"]: "/x" })).toEqual([input.name ?? "it"]);
  });

  it.each<[string, string, Partial<NodeInput>]>([
    ["a prompt", "CLIPTextEncode", { name: "text", options: { multiline: true } }],
    ["a prompt of a class that loads", "LoadPrompt", { name: "text", options: { multiline: true } }],
    ["a choice of the backend's", "CheckpointLoaderSimple", { type: "COMBO", choices: [LISTED] }],
    ["a word that only has one within it", "Mine", { name: "profile" }],
    ["a text of another class", "Download", { name: "it" }],
    ["a number", "Mine", { name: "file", type: "INT" }],
  ])("does not count %s", (_what, className, input) => {
    expect(refused(declare(className, [input]), { [input.name ?? "it"]: LISTED })).toEqual([]);
  });

  it.each([
    ["comfyrpc", true],
    ["comfyrpc/", true],
    ["output/comfyrpc/ab", true],
    ["comfyrpc/ab/job_00001_.png", true],
    ["comfyrpc/*.png", true],
    ["comfyrpc [input]", true],
    ["COMFYRPC", true],
    ["comfyrpc/0a1b.png", false],
    ["comfyrpc/0a1b.png [input]", false],
    ["mycomfyrpc/a", false],
    ["comfyrpc.png", false],
  ])("keeps the files of jobs apart: %j is refused: %j", (text, isRefused) => {
    const folder = declare("Mine", [{ name: "folder", type: "COMBO", choices: [text] }, { name: "path" }]);
    const expected = isRefused ? ["folder", "path"] : [];
    expect(refused(folder, { folder: text, path: text, filename_prefix: text })).toEqual(expected);
  });

  it.each([
    ["..\\x.mp4", undefined, true],
    ["x.mp4 [output]", undefined, true],
    ["other\\system.safetensors", undefined, false],
    ["/x.safetensors", "nodes", false],
  ])("has %j for a choice of a class of %j refused: %j", (text, module, isRefused) => {
    const nodeClass = declare("Mine", [{ type: "COMBO", choices: ["a"] }]);
    const ofModule = { ...nodeClass, ...(module !== undefined && { module }) };
    expect(refused(ofModule, { it: text })).toEqual(isRefused ? ["it"] : []);
  });

  it("counts what a class does not declare by its name", () => {
    expect(refused(declare("Mine", []), { model_path: "/x", text: "/x", file: { deep: ["/x"] } })).toEqual([
      "model_path",
      "file",
    ]);
    expect(
      checkPolicy({ "1": { class_type: "Unknown", inputs: { path: "/x" } } }, new Map(), open),
    ).toMatchObject([{ kind: "path_not_allowed", inputName: "path" }]);
  });

  it("takes any text for a file where the class is not described", () => {
    const riddle = buildNodeClass("Riddle", { isUndescribed: true });
    const link = ["2", 0];
    expect(refused(riddle, { text: "/x", deep: { __value__: ["a", "../x"] }, path: link })).toEqual([
      "text",
      "deep",
      "path",
    ]);
    expect(refused(riddle, { text: "a/b.png", size: 7, image: link, filename_prefix: link })).toEqual([]);
  });

  it("refuses a name that comes along a link, as it can be any, except one that is overwritten", () => {
    const nodeClass = declare("Mine", [
      { name: "path" },
      { name: "filename_prefix" },
      { name: "file", type: "*" },
    ]);
    const link = ["2", 0];
    expect(refused(nodeClass, { path: link, filename_prefix: link, file: link })).toEqual(["path"]);
  });
});

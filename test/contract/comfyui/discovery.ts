import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type NodeClass, nodeClass, promptInfo, systemStats } from "./messages.ts";
import { type OpenServer, Session } from "./session.ts";

const names = z.array(z.string());

/** What a client can ask about the server, its models and its nodes (protocol 1.7). */
export function describeDiscovery(open: OpenServer): void {
  describe("discovery", () => {
    it("describes itself and its devices", async () => {
      await using session = await Session.start(open);
      const stats = (await session.http.get("/api/system_stats")).json(systemStats);
      expect(stats.system.comfyui_version).toMatch(/^\d+\.\d+\.\d+/);
      expect(stats.devices.length).toBeGreaterThan(0);
    });

    it("names its upload limit among its features", async () => {
      await using session = await Session.start(open);
      const features = (await session.http.get("/api/features")).json(z.object({ max_upload_size: z.int() }));
      expect(features.max_upload_size).toBeGreaterThan(0);
    });

    it("answers GET /prompt with the length of its queue", async () => {
      await using session = await Session.start(open);
      const info = (await session.http.get("/api/prompt")).json(promptInfo);
      expect(info.exec_info.queue_remaining).toBe(0);
    });

    it("lists its model folders and the files of each", async () => {
      await using session = await Session.start(open);
      const folders = (await session.http.get("/api/models")).json(names);
      expect(folders).toEqual(
        expect.arrayContaining(["checkpoints", "loras", "vae", "controlnet", "upscale_models"]),
      );
      const checkpoints = (await session.http.get("/api/models/checkpoints")).json(names);
      expect(checkpoints).toContain(session.checkpoint);
    });

    it("knows no model folder of another name", async () => {
      await using session = await Session.start(open);
      expect((await session.http.get("/api/models/no_such_folder")).status).toBe(404);
    });

    it("serves a checkpoint's metadata as an object, or 404 if it carries none", async () => {
      await using session = await Session.start(open);
      const reply = await session.http.get(metadataPath(session.checkpoint));
      if (reply.status === 200) reply.json(z.record(z.string(), z.unknown()));
      else expect(reply.status).toBe(404);
      expect((await session.http.get(metadataPath("no-such-file.safetensors"))).status).toBe(404);
    });

    it("describes one node class: its inputs, outputs and whether it is an output node", async () => {
      await using session = await Session.start(open);
      const sampler = await classInfo(session, "KSampler");
      expect(Object.keys(sampler.input.required ?? {}).sort()).toEqual(
        "cfg denoise latent_image model negative positive sampler_name scheduler seed steps".split(" "),
      );
      expect(sampler).toMatchObject({ name: "KSampler", output: ["LATENT"], output_node: false });
      expect(await classInfo(session, "SaveImage")).toMatchObject({ output_node: true });
    });

    it("describes all node classes at once as it does each alone", async () => {
      await using session = await Session.start(open);
      const all = (await session.http.get("/api/object_info")).json(z.record(z.string(), nodeClass));
      expect(Object.keys(all)).toEqual(
        expect.arrayContaining(["CheckpointLoaderSimple", "KSampler", "SaveImage"]),
      );
      for (const [name, info] of Object.entries(all)) {
        expect(info.name).toBe(name);
        expect(info.output_name).toHaveLength(info.output.length);
        expect(info.output_is_list).toHaveLength(info.output.length);
        const { required = {}, optional = {} } = info.input;
        expect(info.input_order.required ?? []).toEqual(Object.keys(required));
        expect(info.input_order.optional ?? []).toEqual(Object.keys(optional));
      }
      expect(all.KSampler).toEqual(await classInfo(session, "KSampler"));
    });

    it("lists its embeddings without the ends of their names", async () => {
      await using session = await Session.start(open);
      const files = (await session.http.get("/api/models/embeddings")).json(names);
      const embeddings = (await session.http.get("/api/embeddings")).json(names);
      expect(embeddings.toSorted()).toEqual(files.map((file) => file.replace(/\.[^.]*$/, "")).toSorted());
    });

    it("describes an unknown node class as an empty object", async () => {
      await using session = await Session.start(open);
      const reply = await session.http.get("/api/object_info/NoSuchNode");
      expect(reply.json(z.record(z.string(), z.unknown()))).toEqual({});
    });

    // Classes move from [[...values]] to ["COMBO", {options}] one by one; KSamplerSelect has, the others have not yet.
    it.each([
      ["KSampler", "sampler_name", "euler"],
      ["KSampler", "scheduler", "normal"],
      ["ImageScale", "upscale_method", "nearest-exact"],
      ["KSamplerSelect", "sampler_name", "euler"],
    ])("enumerates the values of %s.%s in the old or the new form", async (className, input, value) => {
      await using session = await Session.start(open);
      expect(enumeration(await classInfo(session, className), input)).toContain(value);
    });

    it("enumerates the same checkpoints for the loader node as in the folder listing", async () => {
      await using session = await Session.start(open);
      const checkpoints = (await session.http.get("/api/models/checkpoints")).json(names);
      const options = enumeration(await classInfo(session, "CheckpointLoaderSimple"), "ckpt_name");
      expect(options.toSorted()).toEqual(checkpoints.toSorted());
    });

    // Trap 21: looked for in the text, because JSON.parse rounds it.
    it("states the range of seeds in full digits", async () => {
      await using session = await Session.start(open);
      const { text } = await session.http.get("/api/object_info/KSampler");
      expect(text).toMatch(/"max":\s*18446744073709551615\b/);
    });

    it.each(["/api/no_such_route", "/api/interrupt"])("answers GET %s with 404 and no JSON", async (path) => {
      await using session = await Session.start(open);
      const reply = await session.http.get(path);
      expect(reply.status).toBe(404);
      expect(reply.isJson).toBe(false);
    });
  });
}

function metadataPath(filename: string): string {
  return `/api/view_metadata/checkpoints?${new URLSearchParams({ filename })}`;
}

async function classInfo(session: Session, className: string): Promise<NodeClass> {
  const reply = await session.http.get(`/api/object_info/${className}`);
  const info = reply.json(z.record(z.string(), nodeClass))[className];
  if (!info) throw new Error(`the server has no node class ${className}`);
  return info;
}

const oldEnumeration = z
  .tuple([names])
  .rest(z.unknown())
  .transform(([options]) => options);
const newEnumeration = z
  .tuple([z.literal("COMBO"), z.object({ options: names })])
  .rest(z.unknown())
  .transform(([, { options }]) => options);

function enumeration(info: NodeClass, input: string): string[] {
  return z.union([oldEnumeration, newEnumeration]).parse(info.input.required?.[input]);
}

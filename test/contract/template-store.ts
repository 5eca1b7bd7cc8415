import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GraphValue } from "../../src/domain/graph.ts";
import type { TemplateContent } from "../../src/domain/template/workflow-template.ts";
import type { TemplateRecord, TemplateStore } from "../../src/storage/template-store.ts";

const never = new AbortController().signal;
const newest = { type: "newest" } as const;

/** A store that is open, empty at first. */
export interface OpenTemplateStore extends AsyncDisposable {
  readonly templates: TemplateStore;
  /** Another store on the same templates, as another replica has it; the same one where only one can be open. */
  readonly other: TemplateStore;
  /** Closes all and opens it again, as after a restart of the service. */
  reopen(): Promise<TemplateStore>;
}

/** What every TemplateStore promises. */
export function describeTemplateStore(name: string, open: () => Promise<OpenTemplateStore>): void {
  describe(`${name} as a TemplateStore`, () => {
    it("numbers what is registered under a name, and gives back each version as it was", async () => {
      await using store = await open();
      const first = await register(store.templates, { description: "one" });
      const second = await register(store.templates, { description: "two" });
      expect([first.version, second.version]).toEqual([1, 2]);
      expect(first).toMatchObject({ ...buildContent({ description: "one" }), aliases: [] });
      const again = await store.reopen();
      expect(await again.get("a", "poster", { type: "version", version: 1 }, never)).toEqual(first);
      expect(await again.get("a", "poster", newest, never)).toEqual(second);
      expect(await again.get("a", "poster", { type: "version", version: 3 }, never)).toBeUndefined();
      expect(await again.get("a", "other", newest, never)).toBeUndefined();
    });

    it("makes no version of content that there is already, of any version", async () => {
      await using store = await open();
      const first = await register(store.templates, { description: "one" });
      await register(store.templates, { description: "two" });
      const repeated = await store.templates.register("a", buildContent({ description: "one" }), never);
      expect(repeated).toEqual({ template: first, isNew: false });
      expect(await versionsOf(store.templates)).toEqual([2, 1]);
      expect(await store.templates.findEqual("a", "poster", first.sha256, never)).toEqual(first);
      expect(await store.templates.findEqual("b", "poster", first.sha256, never)).toBeUndefined();
    });

    it("keeps tenants apart", async () => {
      await using store = await open();
      await register(store.templates);
      expect(await store.templates.get("b", "poster", newest, never)).toBeUndefined();
      expect(await store.templates.list("b", undefined, 10, never)).toEqual([]);
      expect((await store.templates.register("b", buildContent(), never)).template.version).toBe(1);
      expect(await store.templates.remove("b", "poster", undefined, never)).toBe("removed");
      expect(await store.templates.get("a", "poster", newest, never)).toBeDefined();
    });

    it("keeps any text, number and graph as it is", async () => {
      await using store = await open();
      const text = fc.string({ unit: "binary", maxLength: 20 });
      const number = fc.oneof(
        fc.maxSafeInteger(),
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((each) => !Number.isInteger(each)),
      );
      const value: fc.Arbitrary<GraphValue> = fc.oneof(text, number, fc.boolean(), fc.constant(null));
      const inputs = fc.dictionary(fc.string({ maxLength: 8 }), fc.oneof(value, fc.array(value)));
      const content = fc.record({ description: text, inputs, default: fc.oneof(text, number) });
      await fc.assert(
        fc.asyncProperty(content, async (given) => {
          const graph = {
            "1": { class_type: "Any", inputs: given.inputs, _meta: { title: given.description } },
          };
          const [parameter] = buildContent().parameters;
          const parameters = parameter ? [{ ...parameter, default: given.default }] : [];
          const wanted = buildContent({ description: given.description, graph, parameters });
          const { version } = await register(store.templates, wanted);
          expect(await store.other.get("a", "poster", { type: "version", version }, never)).toMatchObject(
            wanted,
          );
        }),
        { numRuns: 25 },
      );
    });

    it("gives registrations at the same time numbers of their own, and equal ones the same", async () => {
      await using store = await open();
      const made = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          register(i % 2 === 0 ? store.templates : store.other, { description: `${i >> 1}` }),
        ),
      );
      const numbers = made.map(({ version }) => version);
      expect([...new Set(numbers)].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
      for (let i = 0; i < 12; i += 2) {
        expect(made[i]).toEqual(made[i + 1]);
      }
    });

    it("lets an alias point to a version, and move", async () => {
      await using store = await open();
      const { templates } = store;
      await register(templates, { description: "one" });
      await register(templates, { description: "two" });
      const production = { type: "alias", alias: "production" } as const;
      expect(await templates.get("a", "poster", production, never)).toBeUndefined();
      expect((await templates.setAlias("a", "poster", "production", 1, never))?.aliases).toEqual([
        "production",
      ]);
      await templates.setAlias("a", "poster", "best", 1, never);
      expect(await store.other.get("a", "poster", production, never)).toMatchObject({
        ...{ version: 1, aliases: ["best", "production"] },
      });
      await templates.setAlias("a", "poster", "production", 2, never);
      expect((await templates.get("a", "poster", production, never))?.version).toBe(2);
      expect((await templates.get("a", "poster", { type: "version", version: 1 }, never))?.aliases).toEqual([
        "best",
      ]);
      expect(await templates.setAlias("a", "poster", "production", 3, never)).toBeUndefined();
      expect(await templates.setAlias("a", "other", "production", 1, never)).toBeUndefined();
      expect(await templates.deleteAlias("a", "poster", "production", never)).toBe(true);
      expect(await templates.deleteAlias("a", "poster", "production", never)).toBe(false);
      expect(await templates.get("a", "poster", production, never)).toBeUndefined();
    });

    it("removes a version that no alias points to, and gives its number to no other", async () => {
      await using store = await open();
      const { templates } = store;
      await register(templates, { description: "one" });
      await register(templates, { description: "two" });
      await templates.setAlias("a", "poster", "production", 2, never);
      expect(await templates.remove("a", "poster", 2, never)).toBe("aliased");
      await templates.setAlias("a", "poster", "production", 1, never);
      expect(await templates.remove("a", "poster", 2, never)).toBe("removed");
      expect(await templates.remove("a", "poster", 2, never)).toBe("absent");
      expect(await versionsOf(templates)).toEqual([1]);
      expect((await register(templates, { description: "two" })).version).toBe(3);
    });

    it("removes a template with all of its versions and aliases", async () => {
      await using store = await open();
      const { templates } = store;
      await register(templates, { description: "one" });
      await register(templates, { name: "other" });
      await templates.setAlias("a", "poster", "production", 1, never);
      expect(await templates.remove("a", "poster", undefined, never)).toBe("removed");
      expect(await templates.remove("a", "poster", undefined, never)).toBe("absent");
      expect(
        await templates.get("a", "poster", { type: "alias", alias: "production" }, never),
      ).toBeUndefined();
      expect((await templates.list("a", undefined, 10, never)).map(({ name }) => name)).toEqual(["other"]);
      expect(await register(templates, { description: "one" })).toMatchObject({ version: 2, aliases: [] });
    });

    it("lists the newest version of each template, and the versions of one, page by page", async () => {
      await using store = await open();
      const { templates } = store;
      for (const name of ["b", "a", "c-1", "c"]) {
        await register(templates, { name, description: "one" });
      }
      await register(templates, { name: "b", description: "two" });
      await templates.setAlias("a", "b", "production", 2, never);
      const page = await templates.list("a", undefined, 3, never);
      expect(page[0]).not.toHaveProperty("graph");
      expect(page.map(({ name, version, aliases }) => [name, version, aliases])).toEqual([
        ["a", 1, []],
        ["b", 2, ["production"]],
        ["c", 1, []],
      ]);
      expect((await templates.list("a", "c", 3, never)).map(({ name }) => name)).toEqual(["c-1"]);
      for (let i = 2; i < 6; i++) {
        await register(templates, { description: `${i}` });
      }
      expect(await versionsOf(templates, undefined, 3)).toEqual([4, 3, 2]);
      expect(await versionsOf(templates, 2, 3)).toEqual([1]);
    });
  });
}

/** A template of one parameter. */
export function buildContent(parts: Partial<TemplateContent> = {}): TemplateContent {
  return {
    ...{ name: "poster", description: "" },
    graph: { "1": { class_type: "KSampler", inputs: { steps: 20, seed: 2n ** 64n - 1n, model: ["2", 0] } } },
    parameters: [
      {
        ...{ name: "steps", title: "Steps", description: "", type: "integer", isRequired: false },
        targets: [{ nodeId: "1", inputName: "steps" }],
        ...{ default: 20, defaultsToFirst: false, min: 1, max: 50, step: 1, choices: [], maxLength: 5 },
      },
    ],
    ...parts,
  };
}

async function register(store: TemplateStore, parts: Partial<TemplateContent> = {}): Promise<TemplateRecord> {
  return (await store.register("a", buildContent(parts), never)).template;
}

async function versionsOf(store: TemplateStore, before?: number, limit = 10): Promise<readonly number[]> {
  return (await store.listVersions("a", "poster", before, limit, never)).map(({ version }) => version);
}

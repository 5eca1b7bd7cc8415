import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TestClock } from "../../test/contract/job-store/store-home.ts";
import { AssetLinks } from "./asset-links.ts";

const id = "ab".repeat(32);
const otherId = "cd".repeat(32);
const never = new AbortController().signal;

function open() {
  const clock = new TestClock();
  let reads = 0;
  const store = {
    signingKey: async () => {
      reads += 1;
      if (reads === 1) throw new Error("out of reach");
      return new Uint8Array(32).fill(7);
    },
  };
  return { clock, links: new AssetLinks(store, clock), reads: () => reads };
}

/** Links whose key has been read. */
async function ready() {
  const opened = open();
  await expect(opened.links.sign(id, "", opened.clock.now(), never)).rejects.toThrow("out of reach");
  const expireTime = new Date(opened.clock.now().getTime() + 60_000);
  const link = await opened.links.sign(id, "", expireTime, never);
  const query = new URL(link, "http://a").searchParams;
  return { ...opened, expireTime, link, query };
}

describe("AssetLinks", () => {
  it("make a path that expires at a full second, not before it was meant to", async () => {
    const { link, links, query, expireTime } = await ready();
    const expires = Math.ceil(expireTime.getTime() / 1_000);
    expect(link).toMatch(new RegExp(`^/assets/${id}\\?expires=${expires}&signature=[\\w-]{43}$`));
    expect(links.isSigned(query)).toBe(true);
    expect(await links.check(id, "", query, never)).toEqual({
      type: "valid",
      expireTime: new Date(expires * 1_000),
    });
  });

  it("work until they expire", async () => {
    const { clock, links, query } = await ready();
    clock.advance(60_000);
    expect(await links.check(id, "", query, never)).toMatchObject({ type: "valid" });
    clock.advance(1_000);
    expect(await links.check(id, "", query, never)).toEqual({ type: "expired" });
  });

  it("are good for one asset and one tenant only", async () => {
    const { links, query } = await ready();
    expect(await links.check(otherId, "", query, never)).toEqual({ type: "invalid" });
    expect(await links.check(id, "acme", query, never)).toEqual({ type: "invalid" });
  });

  it("are not taken with any character changed, left out or added", async () => {
    const { links, link } = await ready();
    const [path = "", query = ""] = link.split("?");
    expect(path).toBe(`/assets/${id}`);
    const from = query.indexOf("=") + 1;
    const edits = fc.record({
      at: fc.integer({ min: from, max: query.length - 1 }),
      removed: fc.integer({ min: 0, max: 2 }),
      added: fc.stringMatching(/^[A-Za-z0-9_=&-]{0,2}$/),
    });
    await fc.assert(
      fc.asyncProperty(edits, async ({ at, removed, added }) => {
        const edited = new URLSearchParams(query.slice(0, at) + added + query.slice(at + removed));
        const original = new URLSearchParams(query);
        const same = ["expires", "signature"].every(
          (name) => decode(name, edited.getAll(name)) === decode(name, original.getAll(name)),
        );
        fc.pre(!same);
        expect(await links.check(id, "", edited, never)).toEqual({ type: "invalid" });
      }),
    );
  });

  it.each([
    "expires=1",
    "signature=x",
    "expires=1e9&signature=x",
    "expires=-1&signature=",
    "expires=&signature=",
  ])("are told from what is none: %s", async (text) => {
    const { links } = await ready();
    expect(links.isSigned(new URLSearchParams(text))).toBe(true);
    expect(await links.check(id, "", new URLSearchParams(text), never)).toEqual({ type: "invalid" });
    expect(links.isSigned(new URLSearchParams("width=3"))).toBe(false);
  });

  it("read their key once, and again if that failed", async () => {
    const { links, query, reads } = await ready();
    await links.check(id, "", query, never);
    expect(reads()).toBe(2);
  });
});

/** Several base64url texts may stand for the same signature. */
function decode(name: string, values: readonly string[]): string {
  return JSON.stringify(
    values.map((value) => (name === "signature" ? Buffer.from(value, "base64url").toString("hex") : value)),
  );
}

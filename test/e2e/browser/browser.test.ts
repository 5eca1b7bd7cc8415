import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requireClients } from "../../support/clients.ts";
import { startServiceFixture } from "../../support/start-service.ts";
import type { PageRun } from "./page-run.ts";

const chromiumFile = "/usr/bin/chromium";
const isInstalled = existsSync(chromiumFile);
requireClients("chromium", isInstalled);

describe.skipIf(!isInstalled)("a page in a browser", () => {
  let browser: Browser;
  let site: AsyncDisposable & { readonly origin: string };

  beforeAll(async () => {
    site = await servePage(await bundlePage());
    browser = await chromium.launch({
      executablePath: chromiumFile,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-sync",
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await site?.[Symbol.asyncDispose]();
  });

  it.each(["connect", "grpcweb"] as const)(
    "draws over %s from another origin, with previews",
    async (protocol) => {
      await using fixture = await startServiceFixture({ env: { COMFYRPC_CORS_ORIGINS: site.origin } });
      const run = await drawInPage(fixture.url, protocol);
      expect(run).toMatchObject({ error: "", widthPx: 256, heightPx: 192 });
      expect(run.events.slice(0, 2)).toEqual(["accepted", "queued"]);
      expect(run.events).toContain("imageChunk");
      expect(run.events.at(-1)).toBe("completed");
      expect(run.previewCount).toBeGreaterThan(0);
    },
  );

  it("is kept out when its origin is not listed", async () => {
    await using fixture = await startServiceFixture({
      env: { COMFYRPC_CORS_ORIGINS: "https://another.example" },
    });
    expect(await drawInPage(fixture.url, "connect")).toMatchObject({
      events: [],
      error: expect.stringContaining("fetch"),
    });
  });

  async function drawInPage(serviceUrl: string, protocol: "connect" | "grpcweb"): Promise<PageRun> {
    const page = await browser.newPage();
    try {
      await page.goto(site.origin);
      return await page.evaluate(`drawInPage(${JSON.stringify(serviceUrl)}, ${JSON.stringify(protocol)})`);
    } finally {
      await page.close();
    }
  }
});

/** The script of the page with everything that it imports, as one file. */
async function bundlePage(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: "silent",
    build: {
      write: false,
      minify: false,
      lib: {
        entry: fileURLToPath(new URL("page/page.ts", import.meta.url)),
        formats: ["es"],
        fileName: "page",
      },
    },
  });
  const [bundle] = Array.isArray(output) ? output : [output];
  if (bundle === undefined || !("output" in bundle)) {
    throw new Error("vite made no bundle");
  }
  return bundle.output[0].code;
}

async function servePage(script: string): Promise<AsyncDisposable & { readonly origin: string }> {
  const server = createServer((req, res) => {
    const [type, body] =
      req.url === "/page.js"
        ? ["text/javascript", script]
        : [
            "text/html",
            '<!doctype html><title>page</title><img alt=""><script type="module" src="/page.js"></script>',
          ];
    res.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

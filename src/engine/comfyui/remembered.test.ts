import { describe, expect, it } from "vitest";
import { createLogger } from "../../telemetry/logger.ts";
import { Remembered } from "./remembered.ts";

function soon(): AbortSignal {
  return AbortSignal.timeout(5_000);
}

describe("Remembered", () => {
  it("does not remember what is read late from another server", async () => {
    const answers = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    let asked = 0;
    const remembered = new Remembered("answer", async () => (await answers[asked++]?.promise) ?? "none", {
      logger: createLogger({ level: "silent" }),
      lifetime: soon(),
      nowMs: () => 0,
    });
    const ofOldServer = remembered.get(60_000, soon());
    remembered.reset();
    const ofNewServer = remembered.get(60_000, soon());
    answers[1]?.resolve("new");
    expect(await ofNewServer).toBe("new");
    answers[0]?.resolve("old");
    expect(await ofOldServer).toBe("old");
    expect(await remembered.get(60_000, soon())).toBe("new");
    expect(asked).toBe(2);
  });
});

import { describe } from "vitest";
import { claiming } from "./job-store/claiming.ts";
import { interleaving } from "./job-store/interleaving.ts";
import { maintaining } from "./job-store/maintaining.ts";
import { querying } from "./job-store/querying.ts";
import { recording } from "./job-store/recording.ts";
import { stopping } from "./job-store/stopping.ts";
import { openTestStore, type StoreHome } from "./job-store/store-home.ts";
import { submitting } from "./job-store/submitting.ts";

/** What every JobStore promises. */
export function describeJobStore(name: string, makeHome: () => Promise<StoreHome>): void {
  const open = () => openTestStore(makeHome);
  describe(`${name} as a JobStore`, () => {
    describe("taking jobs in", () => submitting(open));
    describe("finding them", () => querying(open));
    describe("giving them to backends", () => claiming(open));
    describe("recording what happens", () => recording(open));
    describe("stopping them", () => stopping(open));
    describe("upkeep", () => maintaining(open));
    describe("all at once", () => interleaving(open));
  });
}

import { z } from "zod";
import type { PassingEvent } from "../../domain/job-event.ts";
import type { BusMessage } from "../event-bus.ts";

/** The channel that all replicas listen to. */
export const channel = "comfyrpc_events";

/** PostgreSQL takes notifications of less than 8000 bytes. */
export const maxPayloadBytes = 7_999;

/** What a notification says. */
export type Notice =
  | { readonly type: "message"; readonly message: BusMessage }
  /** A preview, whose bytes are in the table of previews under this id, as long as no newer one has taken its place. */
  | { readonly type: "preview"; readonly jobId: string; readonly id: string; readonly event: PassingEvent }
  /** Messages of who says so were lost. */
  | { readonly type: "gap" };

/**
 * Writes a notice as text that begins with the name of its sender, so that everybody can pass over their own without
 * reading further. Events that were recorded are left out, and so are the bytes of a preview.
 */
export function writeNotice(sender: string, notice: Notice): string {
  return `${sender} ${JSON.stringify(wireForm(notice))}`;
}

/** Reads what {@link writeNotice} wrote; `undefined` for anything else, and for what `self` wrote. */
export function readNotice(payload: string, self: string): Notice | undefined {
  const space = payload.indexOf(" ");
  if (space < 1 || payload.slice(0, space) === self) {
    return undefined;
  }
  try {
    return wireNotice.parse(JSON.parse(payload.slice(space + 1)));
  } catch {
    return undefined; // anybody who may connect to the database can write to the channel
  }
}

function wireForm(notice: Notice): unknown {
  switch (notice.type) {
    case "message":
      return wireFormOf(notice.message);
    case "preview":
      return { type: "preview", jobId: notice.jobId, id: notice.id, event: wireEvent(notice.event) };
    case "gap":
      return notice;
  }
}

function wireFormOf(message: BusMessage): unknown {
  switch (message.type) {
    case "recorded":
      return { type: "recorded", jobId: message.jobId, lastSequence: String(message.lastSequence) };
    case "passing":
      return { type: "passing", jobId: message.jobId, event: wireEvent(message.event) };
    default:
      return message;
  }
}

function wireEvent({ sequence, time, data }: PassingEvent): unknown {
  return { sequence: String(sequence), time: time.getTime(), data: wireData(data) };
}

function wireData(data: PassingEvent["data"]): unknown {
  switch (data.type) {
    case "place":
      return data;
    case "progress":
      return { ...data, remainingMs: data.remainingMs ?? null };
    case "preview":
      return { ...data, data: undefined };
  }
}

const sequence = z
  .string()
  .regex(/^\d{1,19}$/)
  .transform(BigInt);

const placeData = z.object({ type: z.literal("place"), jobsAhead: z.number(), attempt: z.number() });
const progressData = z.object({
  type: z.literal("progress"),
  nodeId: z.string(),
  step: z.number(),
  steps: z.number(),
  fraction: z.number(),
  elapsedMs: z.number(),
  remainingMs: z
    .number()
    .nullable()
    .transform((value) => value ?? undefined),
});
const previewData = z
  .object({
    type: z.literal("preview"),
    nodeId: z.string(),
    imageIndex: z.number(),
    step: z.number(),
    format: z.enum(["png", "jpeg", "webp", "avif"]),
    widthPx: z.number(),
    heightPx: z.number(),
  })
  .transform((data) => ({ ...data, data: new Uint8Array() }));

const event = <T extends z.ZodType>(data: T) =>
  z.object({ sequence, time: z.number().transform((ms) => new Date(ms)), data });

const asMessage = (message: BusMessage): Notice => ({ type: "message", message });

const wireNotice: z.ZodType<Notice> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("recorded"), jobId: z.string(), lastSequence: sequence }).transform(asMessage),
  z
    .object({
      type: z.literal("passing"),
      jobId: z.string(),
      event: event(z.discriminatedUnion("type", [placeData, progressData])),
    })
    .transform(asMessage),
  z.object({ type: z.literal("preview"), jobId: z.string(), id: z.string(), event: event(previewData) }),
  z.object({ type: z.literal("queued") }).transform(asMessage),
  z.object({ type: z.literal("stopRequested"), jobId: z.string(), backend: z.string() }).transform(asMessage),
  z.object({ type: z.literal("leaseReleased"), backend: z.string() }).transform(asMessage),
  z.object({ type: z.literal("gap") }),
]);

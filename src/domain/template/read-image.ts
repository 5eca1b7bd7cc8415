import type { GraphValue } from "../graph.ts";
import type { ImageSource } from "../input-image.ts";
import { kindOf, type Reading } from "./read-value.ts";

/** Reads the value of an image parameter: `ImageInput` of the public API, as it is written in JSON. */
export function readImage(given: GraphValue): Reading<ImageSource> {
  if (given === null || typeof given !== "object" || Array.isArray(given)) {
    return { problem: `${advice}, not ${kindOf(given)}` };
  }
  const members = Object.entries(given).filter(([, value]) => value !== null);
  const [member, ...others] = members;
  if (member === undefined || others.length > 0 || typeof member[1] !== "string") {
    return { problem: advice };
  }
  const [key, value] = member;
  switch (key) {
    case "asset_id":
    case "assetId":
      return /^[0-9a-f]{64}$/.test(value)
        ? { value: { type: "asset", assetId: value } }
        : { problem: "asset_id: must be the id of an asset, 64 lowercase hexadecimal digits" };
    case "data":
      return readBase64(value);
    case "url":
      return value.length <= maxUrlLength && URL.canParse(value)
        ? { value: { type: "url", url: value } }
        : { problem: `url: must be an address of at most ${maxUrlLength} characters` };
    default:
      return { problem: advice };
  }
}

const advice = 'must be an image, which is {"asset_id": "…"}, {"data": "<base64>"} or {"url": "…"}';
const maxUrlLength = 2_048;

/** Reads both alphabets of base64, with or without padding, as the JSON of protobuf does. */
function readBase64(text: string): Reading<ImageSource> {
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(text);
  const data = isBase64 ? Uint8Array.from(Buffer.from(text, "base64")) : new Uint8Array();
  return data.length > 0
    ? { value: { type: "data", data } }
    : { problem: "data: must be the bytes of an image file in base64" };
}

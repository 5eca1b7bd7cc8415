import { createHash } from "node:crypto";
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

/** A response that its caller need not be sent again. */
interface Tagged {
  etag: string;
  notModified: boolean;
}

/**
 * Finishes a response: with its etag, or as nothing but that if the caller says by `ifNoneMatch` that it has this very
 * answer already. The etag is a hash of the content, so that all replicas give the same.
 */
export function tagged<Desc extends DescMessage>(
  schema: MessageShape<Desc> extends Tagged ? Desc : never,
  content: MessageInitShape<Desc>,
  ifNoneMatch: string,
): MessageShape<Desc> {
  const message = create<Desc>(schema, content);
  const etag = createHash("sha256")
    .update(toBinary<Desc>(schema, message))
    .digest("base64url")
    .slice(0, etagLength);
  return etag === ifNoneMatch
    ? Object.assign(create<Desc>(schema), { etag, notModified: true })
    : Object.assign(message, { etag });
}

/** 132 bits, so that no two answers ever have the same. */
const etagLength = 22;

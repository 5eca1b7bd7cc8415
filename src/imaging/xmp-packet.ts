import type { XmpFacts } from "./added-metadata.ts";

const beginning = `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>`;

/**
 * An XMP packet (ISO 16684-1) that says `facts`: the origin of the picture as IPTC's photo metadata standard has it, in
 * `Iptc4xmpExt:DigitalSourceType`, and the tool.
 *
 * What an image says already stays: the facts are added to its packet, unless that names an origin itself. One that
 * cannot be added to is replaced.
 */
export function xmpPacket(facts: XmpFacts, existing = ""): string {
  if (existing.includes("DigitalSourceType")) {
    return existing;
  }
  const end = existing.lastIndexOf("</rdf:RDF>");
  if (end < 0) {
    const rdf = `<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">${description(facts, true)}</rdf:RDF>`;
    return `${beginning}<x:xmpmeta xmlns:x="adobe:ns:meta/">${rdf}</x:xmpmeta><?xpacket end="w"?>`;
  }
  const added = description(facts, !existing.includes("CreatorTool"));
  return existing.slice(0, end) + added + withoutRoom(existing.slice(end));
}

/** The end of a packet without the room that editors leave for themselves. */
function withoutRoom(text: string): string {
  const end = text.lastIndexOf("<?xpacket end");
  return end < 0 ? text : text.slice(0, end).trimEnd() + text.slice(end);
}

function description({ digitalSourceType, creatorTool }: XmpFacts, withTool: boolean): string {
  const origin = `http://cv.iptc.org/newscodes/digitalsourcetype/${digitalSourceType}`;
  return [
    '<rdf:Description rdf:about=""',
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"',
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/">',
    `<Iptc4xmpExt:DigitalSourceType>${origin}</Iptc4xmpExt:DigitalSourceType>`,
    withTool ? `<xmp:CreatorTool>${escaped(creatorTool)}</xmp:CreatorTool>` : "",
    "</rdf:Description>",
  ].join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

import { describe, expect, it } from "vitest";
import { parseFetchableUrl } from "./fetchable-url.ts";

const rules = { allowHttp: false, hosts: [], ports: [443, 80] };

describe("parseFetchableUrl", () => {
  it.each([
    ["https://example.com/a.png?b=c#d", "https://example.com/a.png?b=c"],
    ["HTTPS://EXAMPLE.com:443", "https://example.com/"],
    ["https://пример.example/", "https://xn--e1afmkfd.example/"],
    ["https://[2606:4700::1]/", "https://[2606:4700::1]/"],
    ["https://0x08.8.8.8/", "https://8.8.8.8/"],
  ])("reads %s", (text, href) => {
    expect(parseFetchableUrl(text, rules).href).toBe(href);
  });

  it.each([
    ["example.com/a.png", /one of https,/],
    ["http://example.com/", /one of https,/],
    ["ftp://example.com/", /one of https,/],
    ["file:///etc/passwd", /one of https,/],
    ["data:image/png;base64,AAAA", /one of https,/],
    ["https://", /one of https,/],
    ["https://me:secret@example.com/", /no user name/],
    ["https://me@example.com/", /no user name/],
    ["https://example.com:8443/", /no port, or 443 or 80/],
  ])("refuses %s", (text, message) => {
    const refused = expect.objectContaining({
      reason: "INVALID_FIELD",
      message: expect.stringMatching(message),
    });
    expect(() => parseFetchableUrl(text, rules)).toThrow(refused);
  });

  it("takes http where it is allowed", () => {
    const withHttp = { ...rules, allowHttp: true };
    expect(parseFetchableUrl("http://example.com/", withHttp).protocol).toBe("http:");
    expect(() => parseFetchableUrl("ftp://example.com/", withHttp)).toThrow(/one of https or http,/);
  });

  it.each([
    ["images.example.com", true],
    ["images.example.com.", true],
    ["IMAGES.example.COM", true],
    ["a.b.cdn.example", true],
    ["cdn.example", false],
    ["evilcdn.example", false],
    ["example.com", false],
    ["x.images.example.com", false],
  ])("with certain hosts, and %s among them or not", (host, isTaken) => {
    const parse = () =>
      parseFetchableUrl(`https://${host}/`, { ...rules, hosts: ["images.example.com", "*.cdn.example"] });
    if (isTaken) {
      expect(parse().protocol).toBe("https:");
    } else {
      expect(parse).toThrow(/certain hosts only/);
    }
  });
});

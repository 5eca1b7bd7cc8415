/** Red, green and blue in sRGB, each 0 to 255, fractions allowed. */
export type Rgb = readonly [number, number, number];

/** Lightness (0 to 1), chroma (0 to about 0.37) and hue (radians) in OKLCH, where equal steps look equal. */
export interface Lch {
  readonly lightness: number;
  readonly chroma: number;
  readonly hue: number;
}

/** Colour of a six-digit hexadecimal text such as `#e07a3f`. */
export function hex(text: string): Rgb {
  const value = Number.parseInt(text.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** `share` (0 to 1) of `b` in `a`, mixed so that the middle stays as vivid as the ends. */
export function mix(a: Rgb, b: Rgb, share: number): Rgb {
  const [la, aa, ba] = toOklab(a);
  const [lb, ab, bb] = toOklab(b);
  return fromOklab(la + (lb - la) * share, aa + (ab - aa) * share, ba + (bb - ba) * share);
}

/** `colour` with its lightness, chroma and hue passed through `change`. */
export function adjust(colour: Rgb, change: (lch: Lch) => Lch): Rgb {
  const [l, a, b] = toOklab(colour);
  const next = change({ lightness: l, chroma: Math.hypot(a, b), hue: Math.atan2(b, a) });
  const lightness = Math.min(1, Math.max(0, next.lightness));
  return fromOklab(lightness, next.chroma * Math.cos(next.hue), next.chroma * Math.sin(next.hue));
}

/** The colour in OKLCH. */
export function toLch(colour: Rgb): Lch {
  const [l, a, b] = toOklab(colour);
  return { lightness: l, chroma: Math.hypot(a, b), hue: Math.atan2(b, a) };
}

/** Lighter by `amount` (negative: darker), on the scale of `Lch.lightness`. */
export function lighten(colour: Rgb, amount: number): Rgb {
  return adjust(colour, (lch) => ({ ...lch, lightness: lch.lightness + amount }));
}

/**
 * Table of `size` colours along `stops`, spread evenly, three numbers a colour. Looking a colour up is all that a pixel
 * of a gradient then costs.
 */
export function gradientTable(stops: readonly Rgb[], size: number): Float32Array {
  const table = new Float32Array(size * 3);
  const labs = stops.map(toOklab);
  for (let i = 0; i < size; i++) {
    const position = (i / (size - 1)) * (labs.length - 1);
    const index = Math.min(labs.length - 2, Math.floor(position));
    const share = position - index;
    const from = labs[index] ?? BLACK;
    const to = labs[index + 1] ?? from;
    const colour = fromOklab(
      from[0] + (to[0] - from[0]) * share,
      from[1] + (to[1] - from[1]) * share,
      from[2] + (to[2] - from[2]) * share,
    );
    table.set(colour, i * 3);
  }
  return table;
}

const BLACK = [0, 0, 0] as const;

function toLinear(value: number): number {
  const v = value / 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
}

function fromLinear(value: number): number {
  const v = Math.min(1, Math.max(0, value));
  return 255 * (v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055);
}

/** Björn Ottosson's OKLab, https://bottosson.github.io/posts/oklab/ */
function toOklab(colour: Rgb): readonly [number, number, number] {
  const r = toLinear(colour[0]);
  const g = toLinear(colour[1]);
  const b = toLinear(colour[2]);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab(lightness: number, a: number, b: number): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    fromLinear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    fromLinear(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

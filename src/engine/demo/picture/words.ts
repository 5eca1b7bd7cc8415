import { hex, type Rgb } from "./colour.ts";
import { hashText } from "./random.ts";

/** Something that a picture may show. */
export type Theme =
  | "night"
  | "sunset"
  | "dawn"
  | "day"
  | "fog"
  | "storm"
  | "neon"
  | "autumn"
  | "spring"
  | "snow"
  | "rain"
  | "fire"
  | "space"
  | "aurora"
  | "stars"
  | "moon"
  | "clouds"
  | "forest"
  | "mountains"
  | "sea"
  | "desert"
  | "meadow"
  | "flowers"
  | "city"
  | "birds"
  | "boat"
  | "balloon"
  | "fox"
  | "wolf"
  | "cat";

/** What a prompt asks for, as far as its words are known here. */
export interface Reading {
  readonly themes: ReadonlySet<Theme>;
  /** Colours named, in the order of the words, without the one that belongs to the animal. */
  readonly colours: readonly Rgb[];
  /** Colour named right before an animal, as in "a white fox". */
  readonly animalColour: Rgb | undefined;
  /** Hash of the words that are not known: they still make a difference. */
  readonly restHash: number;
}

/** Reads a prompt in any case and with any punctuation, weights such as `(snow:1.2)` included. */
export function readPrompt(text: string): Reading {
  const themes = new Set<Theme>();
  const colours: Rgb[] = [];
  const rest: string[] = [];
  let animalColour: Rgb | undefined;
  let previousColour: Rgb | undefined;
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) {
    const colour = COLOURS.get(word);
    const theme = themeOf(word);
    if (theme) {
      themes.add(theme);
      if (previousColour && ANIMALS.has(theme)) {
        animalColour = previousColour;
        colours.pop();
      }
    } else if (colour) {
      colours.push(colour);
    } else if (!FILLERS.has(word)) {
      rest.push(word);
    }
    previousColour = colour;
  }
  return { themes, colours, animalColour, restHash: hashText(rest.join(" ")) };
}

const ANIMALS: ReadonlySet<Theme> = new Set(["fox", "wolf", "cat"]);

function themeOf(word: string): Theme | undefined {
  return (
    THEME_OF.get(word) ??
    THEME_OF.get(word.replace(/s$/, "")) ??
    THEME_OF.get(word.replace(/es$/, "")) ??
    THEME_OF.get(word.replace(/ies$/, "y"))
  );
}

const THEME_WORDS: Readonly<Record<Theme, string>> = {
  night: "night midnight nocturnal dark darkness starlit moonlit",
  sunset: "sunset dusk evening twilight golden",
  dawn: "dawn sunrise morning pastel",
  day: "day daylight noon sunny summer bright midday",
  fog: "fog foggy mist misty haze hazy smoke",
  storm: "storm stormy thunder lightning gloomy overcast grey gray",
  neon: "neon cyberpunk synthwave vaporwave futuristic",
  autumn: "autumn fall autumnal october",
  spring: "spring blossom sakura cherry april",
  snow: "snow snowy winter ice icy frozen frost blizzard glacier arctic christmas",
  rain: "rain rainy drizzle downpour wet",
  fire: "fire flame lava volcano burning inferno ember blaze dragon",
  space: "space galaxy nebula cosmos cosmic planet universe astronaut alien mars",
  aurora: "aurora borealis polar",
  stars: "star starry constellation",
  moon: "moon moonlight lunar",
  clouds: "cloud cloudy sky heaven",
  forest: "forest wood woodland tree pine jungle grove",
  mountains: "mountain peak alp hill cliff valley canyon landscape rock",
  sea: "sea ocean beach lake river water coast island wave shore harbour bay",
  desert: "desert dune sand sahara oasis",
  meadow: "meadow field grass garden prairie farm park pasture",
  flowers: "flower floral rose tulip poppy daisy lavender sunflower bouquet bloom",
  city: "city skyline town street skyscraper building urban metropolis downtown tokyo london paris",
  birds: "bird seagull raven crow swallow geese eagle",
  boat: "boat ship sail sailboat yacht sailing",
  balloon: "balloon airship zeppelin",
  fox: "fox vixen",
  wolf: "wolf wolves dog husky coyote puppy",
  cat: "cat kitten kitty feline",
};

const THEME_OF: ReadonlyMap<string, Theme> = new Map(
  Object.entries(THEME_WORDS).flatMap(([theme, words]) =>
    words.split(" ").map((word): [string, Theme] => [word, theme as Theme]),
  ),
);

const COLOURS: ReadonlyMap<string, Rgb> = new Map(
  Object.entries({
    red: "#d8342c",
    crimson: "#b3122f",
    scarlet: "#e2391b",
    ruby: "#b0113f",
    orange: "#f08a24",
    amber: "#f5ab2e",
    yellow: "#f6d046",
    lemon: "#f5e663",
    gold: "#d9a531",
    green: "#3f9b4f",
    emerald: "#1f9d6b",
    olive: "#7f8b3c",
    lime: "#a5d33e",
    mint: "#9fe0c0",
    teal: "#1b8a8f",
    turquoise: "#2fc1b8",
    cyan: "#35c4e0",
    aqua: "#5fd3dc",
    blue: "#2f6fd6",
    azure: "#3f95ea",
    navy: "#1b2c66",
    indigo: "#41389e",
    purple: "#7a3fb5",
    violet: "#8a55d6",
    lilac: "#c3a2e0",
    magenta: "#cf2f9a",
    pink: "#f08fb6",
    peach: "#f9bd96",
    coral: "#f4785f",
    brown: "#7c5233",
    bronze: "#a06a34",
    beige: "#dccaa6",
    cream: "#f5e9cf",
    ivory: "#f6f1df",
    white: "#f7f8fb",
    silver: "#bcc5ce",
    black: "#191a22",
    charcoal: "#33363f",
    rainbow: "#f06fae",
  }).map(([name, value]): [string, Rgb] => [name, hex(value)]),
);

const FILLERS: ReadonlySet<string> = new Set(
  "a an the in on at of with and or to by from over under near into through his her its is are very".split(
    " ",
  ),
);

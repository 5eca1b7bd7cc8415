import { encodeSilence } from "../flac.ts";
import { outOfMemory, PythonError } from "../python.ts";
import { HIDDEN, MARK, textsOf } from "./file-texts.ts";
import type { NodeDefinition } from "./node.ts";

/** Samples that fit into the engine's memory: over an hour in stereo. */
const MOST_SAMPLES = 1 << 29;

/** The highest rate that a FLAC file can name, in Hz. */
const HIGHEST_RATE = 655_350;

/** Nodes of sound. All that the engine can make is silence. */
export const audio: readonly NodeDefinition[] = [
  {
    classType: "EmptyAudio",
    displayName: "Empty Audio",
    category: "audio",
    pythonModule: "comfy_extras.nodes_audio",
    required: {
      duration: { type: "FLOAT", options: { default: 60, min: 0, max: 18446744073709551615n, step: 0.01 } },
      sample_rate: { type: "INT", options: { default: 44100 } },
      channels: { type: "INT", options: { default: 2, min: 1, max: 2 } },
    },
    outputs: [{ type: "AUDIO" }],
    run: (inputs) => {
      const [sampleRate, channels] = [inputs.integer("sample_rate"), inputs.integer("channels")];
      const samples = Math.round(inputs.number("duration") * sampleRate);
      if (samples * channels > MOST_SAMPLES) {
        throw outOfMemory();
      }
      return { values: [{ kind: "AUDIO", sampleRate, channels, samples }] };
    },
  },
  {
    classType: "SaveAudio",
    displayName: "Save Audio (FLAC)",
    category: "audio",
    pythonModule: "comfy_extras.nodes_audio",
    required: {
      audio: { type: "AUDIO" },
      filename_prefix: { type: "STRING", options: { default: "audio/ComfyUI" } },
    },
    hidden: HIDDEN,
    outputs: [],
    isOutput: true,
    run: async (inputs, context) => {
      const sound = inputs.value("audio", "AUDIO");
      if (sound.samples < 1 || sound.sampleRate < 1 || sound.sampleRate > HIGHEST_RATE) {
        throw new PythonError("av.error.ArgumentError", "Invalid argument: 'avcodec_open2(flac)'");
      }
      const data = encodeSilence({ ...sound, comments: [MARK, ...textsOf(context)] });
      const file = { data, extension: "flac", width: 0, height: 0 };
      const saved = await context.files.save("output", inputs.text("filename_prefix"), [file]);
      return { values: [], ui: { audio: saved } };
    },
  },
];

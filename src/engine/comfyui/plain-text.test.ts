import { describe, expect, it } from "vitest";
import { toPlainLine } from "./plain-text.ts";

describe("toPlainLine", () => {
  it.each([
    ["cannot open /opt/comfyui/models/x.safetensors", "cannot open [path]"],
    [
      "[Errno 2] No such file or directory: '/home/some user/x.png'",
      "[Errno 2] No such file or directory: '[path]'",
    ],
    ['File "C:\\Users\\me\\ComfyUI\\nodes.py", line 3', 'File "[path]", line 3'],
    ["in D:/comfy/input/a.png now", "in [path] now"],
    ["error:/srv/data/a", "error:[path]"],
    ["see \\\\nas\\models\\a.ckpt", "see [path]"],
    ["read ~/models/a.ckpt", "read [path]"],
    ["(/var/lib/x.py)", "([path])"],
    ["GET http://10.0.0.5:8188/models failed", "GET [address] failed"],
    ["HTTPConnectionPool(host='gpu-7.internal', port=80)", "HTTPConnectionPool([address], port=80)"],
  ])("hides where things are on the host: %s", (text, expected) => {
    expect(toPlainLine(text)).toBe(expected);
  });

  it.each([
    "mat1 and mat2 shapes cannot be multiplied (77x768 and/or 2048x320)",
    "Value 0 smaller than min of 1",
    "sampler_name: 'euler_a' not in ['euler', 'heun']",
    "ckpt_name: 'sdxl/base.safetensors' not in (list of length 42)",
    "1 / 2 is not 3",
    "ratio 16:9",
  ])("leaves other text as it is: %s", (text) => {
    expect(toPlainLine(text)).toBe(text);
  });

  it("keeps the first line only", () => {
    expect(toPlainLine("'str' object has no attribute 'shape'\nTraceback …\n")).toBe(
      "'str' object has no attribute 'shape'",
    );
  });

  it("keeps the second too if the first announces it", () => {
    const text = "Error(s) in loading state_dict for RRDBNet:\n\tsize mismatch for conv.weight\n\tand more";
    expect(toPlainLine(text)).toBe(
      "Error(s) in loading state_dict for RRDBNet: size mismatch for conv.weight",
    );
    expect(toPlainLine("nothing follows:\n")).toBe("nothing follows:");
  });

  it("shortens what is too long", () => {
    expect(toPlainLine("x".repeat(5000))).toHaveLength(300);
  });
});

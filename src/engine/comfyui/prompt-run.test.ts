import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { NoAnswerError } from "./client.ts";
import {
  follow,
  graph,
  image,
  promptId,
  setUp,
  story,
  storyTypes,
  success,
  types,
  unanswered,
} from "./testing/prompt-run-stage.ts";

describe("PromptRun by events", () => {
  it("submits, follows the events and reads the record once, asking for nothing else", async () => {
    const { client, socket, run } = setUp({ pollIntervalMs: 60_000 });
    client.promptRecord = success;
    const outcome = await follow(run, ({ type }) => {
      if (type === "submitted") {
        socket.say(...story, { type: "closed", promptId });
      }
    });
    expect(types(outcome)).toEqual(storyTypes);
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
    expect(client.calls).toEqual(["submit", "record"]);
  });

  it("listens before it submits, so that not even events that overtake the answer are missed", async () => {
    const { client, socket, run } = setUp({ pollIntervalMs: 60_000 });
    client.promptRecord = success;
    client.onSubmit = () => {
      socket.say(...story, { type: "closed", promptId });
      return { status: 200, body: { prompt_id: promptId, node_errors: {} } };
    };
    expect(types(await follow(run))).toEqual(storyTypes);
  });

  it("submits under the given id and the socket's client id, with previews as wanted", async () => {
    const { client, socket, run } = setUp();
    client.promptRecord = success;
    await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(client.submissions).toEqual([{ promptId, clientId: "client-1", graph, previews: true }]);
  });

  it("waits for a record that comes a little after the end", async () => {
    const { client, socket, run } = setUp({ pollIntervalMs: 60_000 });
    let asked = 0;
    client.record = async () => (++asked < 4 ? undefined : success);
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(types(outcome)).toEqual(storyTypes);
  });

  it("adds outputs that only events told about, as of cached nodes on some servers", async () => {
    const { client, socket, run } = setUp();
    client.promptRecord = { ...success, outputs: [] };
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
  });

  it("goes by events alone if the record never comes", async () => {
    const { client, socket, run } = setUp({ recordTimeoutMs: 50 });
    client.promptRecord = undefined;
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
  });

  it("waits for a record no longer than it may, also while the request gets no answer", async () => {
    const { client, socket, run } = setUp({ recordTimeoutMs: 30 });
    client.record = unanswered;
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
  });

  it("waits no more for a record once it is stopped", async () => {
    const { client, socket, stop, run } = setUp({ recordTimeoutMs: 60_000 });
    client.record = async (id, signal) => {
      setImmediate(() => stop.abort());
      return await unanswered(id, signal);
    };
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(types(outcome)).toEqual(storyTypes);
  });

  it("reports the node that failed", async () => {
    const { socket, run } = setUp();
    const failure = { nodeId: "9", classType: "SaveImage", exceptionType: "ValueError", message: "bad" };
    const outcome = await follow(run, () => socket.say({ type: "execution_error", promptId, failure }));
    expect(outcome.reason).toBe("NODE_FAILED");
    expect(outcome.error?.details.nodes).toEqual([
      { nodeId: "9", classType: "SaveImage", errorType: "ValueError", message: "bad" },
    ]);
  });

  it("reports an interruption that nobody here asked for", async () => {
    const { socket, run } = setUp();
    const outcome = await follow(run, () => socket.say({ type: "execution_interrupted", promptId }));
    expect(outcome.reason).toBe("PROMPT_INTERRUPTED");
  });
});

describe("PromptRun by polling alone", () => {
  it.each([true, false])("finds the start, the end and the outputs (jobs route: %s)", async (jobsRoutes) => {
    const { client, socket, run } = setUp();
    client.jobsRoutes = jobsRoutes;
    socket.live = false;
    const states = ["pending", "running", "running", "ended"] as const;
    let lookUps = 0;
    client.onLookUp = () => {
      client.state = states[lookUps++] ?? "ended";
      client.promptRecord = client.state === "ended" ? success : undefined;
    };
    const outcome = await follow(run);
    expect(types(outcome)).toEqual(["submitted", "started", "finished"]);
    expect(outcome.events.at(-1)).toEqual({ type: "finished", outputs: [image] });
  });

  it("tells from the record what was cached, if it never saw the prompt run", async () => {
    const { client, socket, run } = setUp();
    socket.live = false;
    client.onLookUp = () => {
      client.state = "ended";
      client.promptRecord = success;
    };
    expect((await follow(run)).events).toContainEqual({ type: "started", cachedNodeIds: ["4"] });
  });

  it("finds failures and interruptions in the record", async () => {
    const failure = { nodeId: "9", classType: "SaveImage", exceptionType: "ValueError", message: "bad" };
    const ends = [
      [{ type: "failed", failure }, "NODE_FAILED"],
      [{ type: "interrupted" }, "PROMPT_INTERRUPTED"],
    ] as const;
    for (const [end, reason] of ends) {
      const { client, socket, run } = setUp();
      socket.live = false;
      client.promptRecord = { ...success, end };
      client.onLookUp = () => {
        client.state = "ended";
      };
      expect((await follow(run)).reason).toBe(reason);
    }
  });

  it("goes on by polling when the socket drops midway, and tells nothing twice", async () => {
    const { client, socket, run } = setUp();
    client.promptRecord = success;
    const outcome = await follow(run, ({ type }) => {
      if (type === "submitted") {
        client.state = "running";
        socket.say(...story.slice(0, 4));
      } else if (type === "nodeStarted") {
        client.state = "ended";
        socket.drop();
      }
    });
    expect(types(outcome)).toEqual(["submitted", "started", "nodeStarted", "finished"]);
  });

  it("replaces a socket that is open but says nothing, and needs no event to finish", async () => {
    const { client, socket, run } = setUp();
    socket.frameCount = 0;
    client.onLookUp = () => {
      client.state = "ended";
      client.promptRecord = success;
    };
    expect(types(await follow(run))).toEqual(["submitted", "started", "finished"]);
    expect(socket.replaced).toBe(1);
  });

  it("does not suspect a socket whose events come just after the look-up", async () => {
    const { client, socket, run } = setUp();
    client.onLookUp = () => {
      client.state = "ended";
      client.promptRecord = success;
      setImmediate(() => socket.say(...story, { type: "closed", promptId }));
    };
    expect(types(await follow(run))).toEqual(storyTypes);
    expect(socket.replaced).toBe(0);
  });

  it("finds out that the backend has forgotten the prompt, but only after a second look", async () => {
    const { client, run } = setUp();
    const outcome = await follow(run, ({ type }) => {
      if (type === "submitted") {
        client.state = "absent";
      }
    });
    expect(outcome.reason).toBe("PROMPT_LOST");
    expect(client.calls.filter((call) => call === "job").length).toBeGreaterThanOrEqual(2);
  });
});

describe("PromptRun submitting", () => {
  it("fails at once, without a look-up, if no connection could be made", async () => {
    const { client, run } = setUp();
    client.onSubmit = () => {
      throw new NoAnswerError("refused", { sent: false });
    };
    expect((await follow(run)).reason).toBe("NO_BACKEND");
    expect(client.calls).toEqual(["submit"]);
  });

  it.each([
    ["the connection breaks", () => Promise.reject(new NoAnswerError("reset", { sent: true }))],
    ["it answers 500", () => ({ status: 500, body: undefined })],
    ["a proxy answers 504", () => ({ status: 504, body: undefined })],
    ["a login page answers 200", () => ({ status: 200, body: undefined })],
  ])("goes on with a prompt that was queued all the same, when %s", async (_what, answer) => {
    const { client, socket, run } = setUp();
    client.promptRecord = success;
    client.onSubmit = () => {
      client.state = "pending";
      return answer();
    };
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(types(outcome)).toEqual(storyTypes);
    expect(client.submissions).toHaveLength(1);
  });

  it("submits once more, under the same id, if two looks find no trace of the first", async () => {
    const { client, socket, run } = setUp();
    client.promptRecord = success;
    const accept = client.onSubmit;
    client.onSubmit = (submission) =>
      client.submissions.length === 1 ? { status: 502, body: undefined } : accept(submission);
    const outcome = await follow(run, () => socket.say(...story, { type: "closed", promptId }));
    expect(types(outcome)).toEqual(storyTypes);
    expect(client.calls.slice(0, 4)).toEqual(["submit", "job", "job", "submit"]);
    expect(client.submissions.map((submission) => submission.promptId)).toEqual([promptId, promptId]);
  });

  it("does not submit a third time", async () => {
    const { client, told, run } = setUp();
    client.onSubmit = () => ({ status: 500, body: undefined });
    expect((await follow(run)).reason).toBe("NO_BACKEND");
    expect(client.submissions).toHaveLength(2);
    expect(told.abandoned).toEqual([promptId]); // it may be late
  });

  it("has the first submission cancelled should it come, also if there is no connection for the second", async () => {
    const { client, told, run } = setUp();
    client.onSubmit = () => {
      if (client.submissions.length === 1) {
        return { status: 502, body: undefined };
      }
      throw new NoAnswerError("refused", { sent: false });
    };
    expect((await follow(run)).reason).toBe("NO_BACKEND");
    expect(told.abandoned).toEqual([promptId]);
  });

  it("takes a refusal for final, and says which inputs are wrong", async () => {
    const { client, run } = setUp();
    client.onSubmit = () => ({
      status: 400,
      body: {
        error: { type: "prompt_outputs_failed_validation", message: "Prompt outputs failed validation" },
        node_errors: {
          3: {
            class_type: "KSampler",
            errors: [
              {
                type: "value_not_in_list",
                message: "Value not in list",
                details: "sampler_name: 'euler_a' not in (list of length 42)",
                extra_info: { input_name: "sampler_name", received_value: "euler_a" },
              },
            ],
          },
        },
      },
    });
    const outcome = await follow(run);
    expect(outcome.reason).toBe("WORKFLOW_REJECTED");
    expect(outcome.error?.details.nodes).toEqual([
      {
        nodeId: "3",
        classType: "KSampler",
        errorType: "value_not_in_list",
        inputName: "sampler_name",
        message: "Value not in list: sampler_name: 'euler_a' not in (list of length 42)",
      },
    ]);
    expect(client.calls).toEqual(["submit"]);
  });

  it("cancels what was accepted only in part", async () => {
    const { client, run } = setUp();
    client.onSubmit = () => {
      client.state = "running";
      return {
        status: 200,
        body: {
          prompt_id: promptId,
          node_errors: { 10: { class_type: "SaveImage", errors: [{ type: "required_input_missing" }] } },
        },
      };
    };
    expect((await follow(run)).reason).toBe("WORKFLOW_REJECTED");
    expect(client.calls).toContain("cancel");
    expect(client.state).toBe("absent");
  });

  it("refuses a server that gives prompts ids of its own, and cancels there", async () => {
    const { client, run } = setUp();
    client.onSubmit = () => ({ status: 200, body: { prompt_id: "another", node_errors: {} } });
    expect((await follow(run)).reason).toBe("BACKEND_PROTOCOL");
    expect(client.calls).toContain("cancel");
  });

  it.each([401, 403, 404])("does not take HTTP %d for a prompt that may be queued", async (status) => {
    const { client, run } = setUp();
    client.onSubmit = () => ({ status, body: undefined });
    expect((await follow(run)).reason).toBe("BACKEND_PROTOCOL");
    expect(client.calls).toEqual(["submit"]);
  });
});

describe("PromptRun stopped", () => {
  it("submits nothing if it was stopped before", async () => {
    const { client, stop, run } = setUp();
    stop.abort();
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.calls).toEqual([]);
  });

  it("cancels the prompt, and ends when that is proved", async () => {
    const { client, stop, run } = setUp();
    client.state = "running";
    const outcome = await follow(run, () => stop.abort());
    expect(outcome.reason).toBe("CANCELLED_BY_CALLER");
    expect(client.calls).toContain("cancel");
    expect(client.state).toBe("absent");
  });

  it("finishes all the same if the work was done before the cancel took hold", async () => {
    const { client, stop, run } = setUp();
    client.promptRecord = success;
    client.onCancel = () => {
      client.state = "ended";
    };
    expect((await follow(run, () => stop.abort())).events.at(-1)).toEqual({
      type: "finished",
      outputs: [image],
    });
  });

  it("does not wait long for a submission that gets no answer, and cancels what may have arrived", async () => {
    const { client, stop, run } = setUp();
    client.submit = async (_submission, signal) => {
      client.state = "running";
      stop.abort();
      await once(signal, "abort");
      throw signal.reason;
    };
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.calls).toContain("cancel");
  });

  it("cancels a prompt that arrives after it was found absent, and has it looked for once more", async () => {
    const { client, stop, told, run } = setUp();
    client.submit = async (_submission, signal) => {
      stop.abort();
      await once(signal, "abort");
      throw signal.reason;
    };
    let lookUps = 0;
    client.onLookUp = () => {
      lookUps++;
      if (lookUps === 2) {
        client.state = "running";
      }
    };
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
    expect(client.state).toBe("absent");
    expect(lookUps).toBe(4); // absent, running, absent, absent
    expect(told.abandoned).toEqual([promptId]);
  });

  it("reports a prompt that it could not prove to be over", async () => {
    const { client, stop, told, run } = setUp({ cancelTimeoutMs: 30 });
    client.state = "running";
    client.onCancel = () => {};
    expect((await follow(run, () => stop.abort())).reason).toBe("CANCELLED_BY_CALLER");
    expect(told.abandoned).toEqual([promptId]);
  });
});

describe("PromptRun watching over silence", () => {
  it("gives a backend up that is out of reach for too long", async () => {
    const { client, told, run } = setUp({ lostAfterMs: 30 });
    const outcome = await follow(run, () => {
      client.reachable = false;
    });
    expect(outcome.reason).toBe("BACKEND_LOST");
    expect(told.abandoned).toEqual([]); // whether it is resumed or abandoned is for the caller to say
  });

  it("leaves nothing to be resumed at a server that turns out to be another one", async () => {
    const { client, told, run } = setUp({ lostAfterMs: 30 });
    const outcome = await follow(run, () => {
      client.job = () => Promise.reject(new NoAnswerError("forbidden", { sent: true, status: 403 }));
    });
    expect(outcome.reason).toBe("BACKEND_PROTOCOL");
    expect(told.abandoned).toEqual([promptId]);
  });

  it("waits for a backend that comes back in time", async () => {
    const { client, socket, run } = setUp();
    socket.live = false;
    client.promptRecord = success;
    const outcome = await follow(run, () => {
      client.reachable = false;
      const look = client.job.bind(client);
      let refused = 0;
      client.job = () => {
        client.reachable = ++refused > 3;
        client.state = "ended";
        return look();
      };
    });
    expect(types(outcome)).toEqual(["submitted", "started", "finished"]);
  });

  it("finds a worker that runs nothing though prompts wait", async () => {
    const { client, told, run } = setUp({ pendingSilenceMs: 40 });
    expect((await follow(run)).reason).toBe("BACKEND_STALLED");
    expect(client.calls).toContain("cancel");
    expect(told.stalled).toBe(1);
  });

  it("waits for as long as the backend runs something else", async () => {
    const { client, stop, run } = setUp({ pendingSilenceMs: 4 });
    client.queue = async () => {
      if (client.calls.push("queue") > 40) {
        stop.abort();
      }
      return { runningIds: ["a stranger's"], pendingIds: [promptId] };
    };
    expect((await follow(run)).reason).toBe("CANCELLED_BY_CALLER");
  });

  it.each([
    ["between two steps", { stepSilenceMs: 30, loadingSilenceMs: 60_000 }, 2],
    ["while no node makes steps", { stepSilenceMs: 60_000, loadingSilenceMs: 30 }, 4],
  ])("finds a prompt that is stuck %s", async (_where, options, value) => {
    const { client, socket, run } = setUp(options);
    const outcome = await follow(run, ({ type }) => {
      if (type === "submitted") {
        client.state = "running";
        socket.say(...story.slice(0, 4), {
          type: "progress",
          promptId,
          steps: { nodeId: "9", value, max: 4 },
        });
        socket.frameCount++; // a frame about something else shows that the socket is not deaf
      }
    });
    expect(outcome.reason).toBe("BACKEND_STALLED");
    expect(client.calls).toContain("cancel");
  });

  it("gives a sampler more time between two steps when the socket says nothing at all and may be deaf", async () => {
    const { client, socket, run } = setUp({ stepSilenceMs: 10, loadingSilenceMs: 60_000, pollIntervalMs: 5 });
    client.promptRecord = success;
    const outcome = await follow(run, ({ type }) => {
      if (type === "submitted") {
        client.state = "running";
        socket.say(...story.slice(0, 4), {
          type: "progress",
          promptId,
          steps: { nodeId: "9", value: 2, max: 4 },
        });
        client.onLookUp = () => {
          client.state = client.calls.length < 20 ? "running" : "ended";
        };
      }
    });
    expect(types(outcome).at(-1)).toBe("finished");
    expect(client.calls).not.toContain("cancel");
  });

  it("does not take missing events for silence of the prompt", async () => {
    const { client, socket, run } = setUp({ stepSilenceMs: 10, loadingSilenceMs: 10 });
    socket.live = false;
    client.promptRecord = success;
    client.onLookUp = () => {
      client.state = client.calls.length < 20 ? "running" : "ended";
    };
    expect(types(await follow(run))).toEqual(["submitted", "started", "finished"]);
    expect(client.calls).not.toContain("cancel");
  });
});

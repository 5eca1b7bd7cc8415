import { type CapturedIo, captureIo } from "./capture-io.ts";
import { type CliOutcome, runCli } from "./run-cli.ts";
import { type StagedMethods, type StagedService, startStagedService } from "./staged-service.ts";
import { createTemporaryDirectory, type TemporaryDirectory } from "./temporary-directory.ts";

/** A staged service, a directory to save into, and a way to run commands against both. */
export interface Stage {
  readonly service: StagedService;
  readonly directory: TemporaryDirectory;
  /** Runs `comfyrpc` with `args` and the address of the service; afterwards no connection may be left. */
  run(args: readonly string[], io?: CapturedIo, signal?: AbortSignal): Promise<CliOutcome>;
}

/** Puts `methods` on stage for as long as `act` takes. */
export async function onStage(methods: StagedMethods, act: (stage: Stage) => Promise<void>): Promise<void> {
  await using directory = await createTemporaryDirectory();
  await using service = await startStagedService(methods);
  await act({
    service,
    directory,
    run: async (args, io = captureIo(), signal = AbortSignal.timeout(20_000)) => {
      const outcome = await runCli([...args, "--server", service.address], { io, signal });
      await service.idle(AbortSignal.timeout(10_000));
      return outcome;
    },
  });
}

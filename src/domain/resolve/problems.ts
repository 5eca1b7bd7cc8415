import { nearestNames } from "../../lib/nearest-names.ts";
import { type ErrorReason, type FieldViolation, ServiceError } from "../errors.ts";
import type { ModelKind } from "../model-kind.ts";

/** Something that a spec names and a backend lists. */
export interface NameLookup {
  /** What it is, for people: `checkpoint`. */
  readonly what: string;
  readonly reason: ErrorReason;
  /** Of which kind, if it is a model file. */
  readonly kind?: ModelKind;
  readonly field: string;
  readonly name: string;
  readonly listed: readonly string[];
  /** Whether the caller did not give the name. Default: false. */
  readonly isDefault?: boolean;
}

/** Collects what is wrong with a spec, so that a caller learns everything at once. */
export class Problems {
  readonly #violations: FieldViolation[] = [];
  #first: { reason: ErrorReason; message: string; metadata: Record<string, string> } | undefined;

  /** Returns the listed spelling of a name, or notes that there is none and returns it as it is. */
  known({ what, reason, kind, field, name, listed, isDefault = false }: NameLookup): string {
    const found = findListed(name, listed);
    if (found !== undefined) {
      return found;
    }
    const nearest = nearestNames(name, listed);
    const hint = nearest.length > 0 ? `; the nearest it has: ${nearest.join(", ")}` : "; it lists none";
    const whose = isDefault ? "not given, and the default of this server fails: " : "";
    const metadata = {
      name,
      ...(kind !== undefined && { kind: kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) }),
      nearest: JSON.stringify(nearest),
    };
    this.#add(
      {
        field,
        description: `${whose}the backend has no ${what} "${name}"${hint}`,
        ...(kind !== undefined && { unknownModel: name }),
      },
      reason,
      metadata,
    );
    return name;
  }

  /** Notes that `value` is above what the operator of the server allows, if it is. */
  atMost(field: string, unit: string, value: number, limit: number): void {
    if (value > limit) {
      this.add(field, `${value} ${unit}; this server allows at most ${limit}`);
    }
  }

  /** Notes a problem with one field. The reason of the first is that of the failure. */
  add(
    field: string,
    description: string,
    reason: ErrorReason = "INVALID_FIELD",
    metadata: Record<string, string> = {},
  ): void {
    this.#add({ field, description }, reason, metadata);
  }

  #add(violation: FieldViolation, reason: ErrorReason, metadata: Record<string, string>): void {
    this.#first ??= { reason, message: `${violation.field}: ${violation.description}`, metadata };
    this.#violations.push(violation);
  }

  /** @throws ServiceError with every problem as a violation, under the reason of the first one, if there is any */
  throwIfAny(): void {
    if (this.#first !== undefined) {
      const { reason, message, metadata } = this.#first;
      throw new ServiceError(reason, message, { metadata, violations: this.#violations });
    }
  }
}

/** The listed spelling of `name`: ComfyUI lists paths with the separator of its host. */
export function findListed(name: string, listed: readonly string[]): string | undefined {
  return listed.find((one) => one === name) ?? listed.find((one) => samePath(one, name));
}

function samePath(a: string, b: string): boolean {
  return a.replaceAll("\\", "/") === b.replaceAll("\\", "/");
}

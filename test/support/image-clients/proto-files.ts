import { load, type MessageTypeDefinition, type PackageDefinition } from "@grpc/proto-loader";

/**
 * Reads the `.proto` files as a foreign client does, without our generated code. Messages are plain objects: names in
 * camel case, enums by name, 64-bit numbers as text, bytes as base64, and nothing where nothing was sent.
 *
 * @param files paths below `proto/`
 */
export function loadProtoFiles(...files: readonly string[]): Promise<PackageDefinition> {
  return load([...files], { includeDirs: ["proto"], enums: String, longs: String, bytes: String });
}

/**
 * Decodes messages by their full name.
 *
 * @throws Error if `definitions` has no message of that name
 */
export function createDecoder(definitions: PackageDefinition): (type: string, bytes: Uint8Array) => object {
  return (type, bytes) => {
    const definition = definitions[type];
    if (!isMessage(definition)) {
      throw new Error(`there is no message ${type}`);
    }
    return definition.deserialize(Buffer.from(bytes));
  };
}

function isMessage(
  definition: PackageDefinition[string] | undefined,
): definition is MessageTypeDefinition<object, object> {
  return definition !== undefined && "format" in definition && "deserialize" in definition;
}

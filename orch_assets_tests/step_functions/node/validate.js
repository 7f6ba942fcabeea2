// Validates definitions: one a line in, as JSON; one list of errors a line out.
const ajv = require("ajv");

// asl-validator makes an Ajv for each definition, which compiles its schemas again: 0.1 s of CPU. As
// schemas and formats are always the same, all definitions are validated by the first one.
const Ajv = ajv.default;
const nothing = { value: () => {} };
let first;
ajv.default = function (options) {
  if (first) return Object.create(first, { addFormat: nothing, addKeyword: nothing });
  return (first = new Ajv(options));
};

const validate = require("asl-validator");
const lines = require("readline").createInterface({ input: process.stdin });

(async () => {
  for await (const line of lines) {
    const { isValid, errors } = validate(JSON.parse(line));
    const found = isValid ? [] : errors.map((error) => error.message || JSON.stringify(error));
    process.stdout.write(JSON.stringify(found) + "\n");
  }
})();

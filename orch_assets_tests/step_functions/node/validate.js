// Validates definitions: one a line in, as JSON; one list of errors a line out.
const validate = require("asl-validator");
const lines = require("readline").createInterface({ input: process.stdin });

(async () => {
  for await (const line of lines) {
    const { isValid, errors } = validate(JSON.parse(line));
    const found = isValid ? [] : errors.map((error) => error.message || JSON.stringify(error));
    process.stdout.write(JSON.stringify(found) + "\n");
  }
})();

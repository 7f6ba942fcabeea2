// Evaluates JSONata: one expression a line in, as JSON text; one answer a line out.
const jsonata = require("jsonata");
const lines = require("readline").createInterface({ input: process.stdin });

async function evaluate(line) {
  try {
    const value = await jsonata(JSON.parse(line)).evaluate(null);
    return { value: value === undefined ? null : value };
  } catch (error) {
    return { error: String(error.message) };
  }
}

(async () => {
  for await (const line of lines) {
    process.stdout.write(JSON.stringify(await evaluate(line)) + "\n");
  }
})();

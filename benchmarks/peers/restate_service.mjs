// The services that run on Restate, with its TypeScript SDK: `node restate_service.mjs PORT`.
// The SDK calls Promise.withResolvers, which Node 20 lacks (Node 22 has it): it is defined before the SDK is loaded.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((one, other) => { resolve = one; reject = other; });
  return { promise, resolve, reject };
};
const { createRequire } = await import("node:module");
const { pathToFileURL } = await import("node:url");
const require = createRequire(process.env.NODE_PACKAGES + "/");
const restate = await import(pathToFileURL(require.resolve("@restatedev/restate-sdk")));

const options = { inactivityTimeout: { seconds: 1 } };

async function steps(context, count) {
  let x = 0;
  for (let i = 0; i < count; i++) {
    const v = x;
    x = await context.run("one", () => v + 1);
  }
  return x;
}

const bench = restate.service({
  name: "Bench",
  options,
  handlers: { chain: async (context, count) => steps(context, count) },
});

const held = restate.workflow({
  name: "Held",
  options,
  handlers: {
    run: async (context, count) => {
      const x = await steps(context, count);
      context.set("at", "waiting");
      return (await context.promise("event").get()) + String(x);
    },
    go: async (context, message) => { await context.promise("event").resolve(message); },
    at: async (context) => (await context.get("at")) ?? "on its way",
  },
});

restate.serve({ services: [bench, held], port: Number(process.argv[2]) });

// Questions to the explorer, which asks the network and checks the proofs.

export class Failure extends Error {
  constructor(body, status) {
    super(body.message || `the explorer answered ${status}`);
    this.code = body.code;
    this.lie = body.lie;
  }
}

async function call(path, options) {
  const response = await fetch("api/" + path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failure(body, response.status);
  return body;
}

export const ask = (service, method, question = {}) =>
  call(`ask/${service}/${method}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) });
export const network = () => call("network");
export const block = (height) => call(`blocks/${encodeURIComponent(height)}`);
export const transaction = (id) => call(`transactions/${encodeURIComponent(id)}`);

// absent returns undefined for what the network proves not to be there.
export const absent = (promise) => promise.catch((failure) => {
  if (failure.code === "NOT_FOUND") return undefined;
  throw failure;
});

// Logs in with a BankID client of somebody else. Arguments: the directory of packages, the base URL of the API, and a
// directory with ca.pem and client.p12 (password: qwerty123). Prints a line of JSON for each step.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, baseUrl, files] = process.argv.slice(2);
const { BankIdClientV6 } = createRequire(join(packages, "package.json"))("bankid");

const tell = (step, what) => console.log(JSON.stringify({ step, ...what }));
const refused = async (step, asked) => {
  try {
    await asked();
    tell(step, { code: "taken" });
  } catch (error) {
    tell(step, { code: error.code });
  }
};

const client = new BankIdClientV6({
  production: true,
  refreshInterval: 100,
  ca: readFileSync(join(files, "ca.pem")),
  pfx: readFileSync(join(files, "client.p12")),
  passphrase: "qwerty123",
  // Without the timer that would keep this running.
  qrOptions: {},
});
// It knows BankID's own addresses only.
client.axios.defaults.baseURL = `${baseUrl}/`;

const endUserIp = "192.0.2.7";
const order = await client.authenticate({ endUserIp, userVisibleData: "Logga in", returnRisk: true });
const { orderRef, autoStartToken, qr } = order;
const code = await qr.nextQr(orderRef, { maxCycles: 1 }).next();
tell("started", { orderRef, autoStartToken, qr: code.value });
tell("complete", await client.awaitPendingCollect(orderRef));
await refused("collect again", () => client.collect({ orderRef }));

const second = await client.authenticate({ endUserIp });
tell("pending", await client.collect({ orderRef: second.orderRef }));
await refused("cancel", () => client.cancel({ orderRef: second.orderRef }));
await refused("cancel again", () => client.cancel({ orderRef: second.orderRef }));
await refused("mapped address", () => client.authenticate({ endUserIp: `::ffff:${endUserIp}` }));

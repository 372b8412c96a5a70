// Holds custom resources to the models of their makers: values by the models' own validators, and fields that nobody knows
// by the compiler, which takes no unknown property of a literal.
//
// Runs from a copy beside node_modules: packages are found from where a module lies.
//
//   node crd.mjs OBJECTS.json
import { readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";

const [objectsFile] = process.argv.slice(2);
const here = import.meta.dirname;
const packages = {
  "gateway.networking.k8s.io": "gateway-api",
  "external-secrets.io": "external-secrets",
  "cert-manager.io": "cert-manager",
  "monitoring.coreos.com": "prometheus-operator",
};
const objects = JSON.parse(readFileSync(objectsFile, "utf8"));
let failed = 0;
let source = "";
for (const [index, { set, object }] of objects.entries()) {
  const module = `@kubernetes-models/${packages[object.apiVersion.split("/")[0]]}/${object.apiVersion}/${object.kind}`;
  const models = await import(module);
  try {
    new models[object.kind](object).validate();
  } catch (error) {
    failed += 1;
    console.log(`- ${set}: ${object.kind}: ${error.message}`);
  }
  source += `import { I${object.kind} as T${index} } from "${module}";\n`;
  source += `export const o${index}: T${index} = ${JSON.stringify(object)}; // ${set}\n`;
}
writeFileSync(`${here}/objects.ts`, source);
const tsc = spawnSync(
  process.execPath,
  [createRequire(import.meta.url).resolve("typescript/bin/tsc"), "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "objects.ts"],
  { cwd: here, encoding: "utf8" },
);
if (tsc.status !== 0) {
  failed += 1;
  console.log(tsc.stdout.slice(0, 4000));
}
const kinds = [...new Set(objects.map(({ object }) => object.kind))].sort();
console.log(`${objects.length} custom resources (${kinds.join(", ")}), ${failed} failed`);
process.exit(failed ? 1 : 0);

// A certified OpenID provider for the tests, on a free loopback port: it logs one person in without asking anything.
//
//   node provider.mjs DIRECTORY CONFIGURATION
//
// DIRECTORY holds node_modules. CONFIGURATION is JSON: `clients` as the provider takes them, `person` with the claims of the
// one account, `scopes` with the claims that each scope gives, `claimsInIdToken`. It prints "ready ISSUER" once it listens.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [directory, text] = process.argv.slice(2);
const { clients, person, scopes, claimsInIdToken } = JSON.parse(text);
const module = createRequire(`${directory}/package.json`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(module));

const jwk = (kid, type, options) =>
  ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, use: 'sig' });

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients,
  claims: { openid: ['sub'], ...scopes },
  scopes: ['openid', ...Object.keys(scopes)],
  conformIdTokenClaims: !claimsInIdToken,
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  cookies: { keys: ['of tests'] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
  features: { devInteractions: { enabled: false }, pushedAuthorizationRequests: { enabled: true } },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ ...person, sub: accountId }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  jwks: {
    keys: [jwk('rsa', 'rsa', { modulusLength: 2048 }), jwk('ec', 'ec', { namedCurve: 'P-256' })],
  },
  // The person has agreed to everything long ago.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(['openid', ...Object.keys(scopes)].join(' '));
    await grant.save();
    return grant;
  },
  pkce: { methods: ['S256'], required: () => true },
});

// What goes wrong inside is told in the log of the test.
provider.on('server_error', (_, error) => console.error(error));
for (const event of ['authorization.error', 'grant.error', 'pushed_authorization_request.error', 'userinfo.error']) {
  provider.on(event, (_, error) => console.error(event, error.message, error.error_description ?? '', error.error_detail ?? ''));
}

const serve = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    serve(request, response);
    return;
  }
  provider.interactionFinished(request, response, { login: { accountId: 'person-1' } }).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
console.log(`ready ${issuer}`);

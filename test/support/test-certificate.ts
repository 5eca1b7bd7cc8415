import type { TlsIdentity } from "../../src/server/listener/listener-options.ts";

/** Proves to be `localhost` and `127.0.0.1`, from 2020 to 2119. Its own authority. Of no worth outside of tests. */
export const testCertificate: TlsIdentity = {
  certificate: `-----BEGIN CERTIFICATE-----
MIIBeTCCASCgAwIBAgIUGGGrjKsw2z3KH9JY9/UTStYFgwcwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMTkxMjMx
MjM1OTU5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASEP4qEggXuif2jLs7HluQUTzwULDmN6ZfVVpdacrocQEnI6zsxW77l
LjCjKtngrzDdkhVWHImOtHm1Sl+ranUCo04wTDAaBgNVHREEEzARgglsb2NhbGhv
c3SHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU0yPGNTXgddO/1/jM
+dmlKwEc/oowCgYIKoZIzj0EAwIDRwAwRAIgLf3VaPXUbmTOsumHDWWOzwIVepAy
UGQLqfTuhT/oiDUCIE21yb63K4MVCLIJfe4hiwwf8A7yuyo8A/AY+e00NhFK
-----END CERTIFICATE-----
`,
  privateKey: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZ/FdcUGlNmJhFgUL
Y3LKEvuWPxJzia2GbIo/inN6UiWhRANCAASEP4qEggXuif2jLs7HluQUTzwULDmN
6ZfVVpdacrocQEnI6zsxW77lLjCjKtngrzDdkhVWHImOtHm1Sl+ranUC
-----END PRIVATE KEY-----
`,
};

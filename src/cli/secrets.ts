/** Takes credentials out of text that is shown. */

/** `text` with the user name and password of every URL in it, and secret-looking query values, replaced by `***`. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi, "$1***@")
    .replace(/([?&][^=&\s]*(?:token|secret|password|signature|credential|key)[^=&\s]*=)[^&\s]+/gi, "$1***");
}

/** The version of git-odb: what `git odb --version` and `git odb env` say. A test compares it with package.json. */
export const version = "0.1.0";

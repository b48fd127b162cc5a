import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Most tests wait for processes of their own: by default a machine of two cores would run one file at a time.
    maxWorkers: Math.max(2, availableParallelism()),
    globalSetup: "test/support/run-folder.ts",
    // A test that hangs fails; one on a busy machine of two cores must not.
    testTimeout: 180_000,
    // A busy CI machine may be slower than any patience; a test that needed its second try is named in the report.
    retry: process.env.CI ? 1 : 0,
    hookTimeout: 180_000,
    // A git of the user's must not leak into a test, nor a helper find another ODB.
    env: {
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: "A U Thor",
      GIT_AUTHOR_EMAIL: "author@example.com",
      GIT_COMMITTER_NAME: "C O Mitter",
      GIT_COMMITTER_EMAIL: "committer@example.com",
      GIT_TERMINAL_PROMPT: "0",
    },
  },
});

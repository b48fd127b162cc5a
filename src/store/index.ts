/** The library's object stores: git objects by id, on any bucket (`git-odb/store`). */

export { asLoose, asRaw } from "./encoding.js";
export type { LayoutOptions } from "./layout.js";
export { looseStore } from "./loose-layout.js";
export { type OpenStoreOptions, openStore, openStoreOn, type StoreOptions } from "./open.js";
export { withPacks } from "./packs.js";
export { rawStore } from "./raw-layout.js";
export { type BucketSettings, initBucket, type Layout, readSettings } from "./settings.js";
export { putContent, type StagedObject, type StageOptions, stage, stagingFor } from "./stage.js";
export type { ObjectStore, StoredObject, StoreListOptions } from "./store.js";
export { tieredStore, type WritePolicy } from "./tiered.js";

// The package's version. The bundle has it written in (scripts/bundle.mjs); sources that run by themselves have none.

declare const OCFS2_GROUP_VERSION: string | undefined;

export const version: string = typeof OCFS2_GROUP_VERSION === "string" ? OCFS2_GROUP_VERSION : "(not built)";

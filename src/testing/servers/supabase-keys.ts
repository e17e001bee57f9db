/** Keys of the Supabase project that the tests start. */

/** Shaped like a project's own; stands for the role service_role. */
export const secretKey = "sb_secret_OnlyTheseTestsKnowIt_a1b2c3d4";
/** Stands for the role anon. */
export const publishableKey = "sb_publishable_EverybodyMayKnowIt_a1b2c3";
/** Signs the tokens of signed-in users; the same as the product's JWT_SECRET in the tests. */
export const supabaseJwtSecret = "a-secret-only-these-tests-know";

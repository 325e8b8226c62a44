//! What the Java original makes of records.

#[test]
fn agrees_with_the_original() -> Result<(), String> {
    weir_transform_vectors::assert::<weir_transform_regex_router::RegexRouter>("RegexRouter.jsonl")
}

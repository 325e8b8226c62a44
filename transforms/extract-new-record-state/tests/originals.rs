//! What the Java original makes of records.

#[test]
fn agrees_with_the_original() -> Result<(), String> {
    weir_transform_vectors::assert::<weir_transform_extract_new_record_state::ExtractNewRecordState>(
        "ExtractNewRecordState.jsonl",
    )
}

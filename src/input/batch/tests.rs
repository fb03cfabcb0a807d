use super::*;

#[test]
fn drops_masked_tokens_and_keeps_positions() {
    let batch =
        TokenBatch::from_padded(&[7, 8, 9, 10, 5, 6, 0, 0], &[1, 0, 1, 1, 1, 1, 0, 0], 4).unwrap();
    assert_eq!(batch.input_ids(), [7, 9, 10, 5, 6]);
    assert_eq!(batch.positions(), [0, 2, 3, 0, 1]);
    assert_eq!(batch.cu_seqlens(), [0, 3, 5]);
    assert_eq!(batch.row(1), 3..5);
}

#[test]
fn full_mask_equals_no_mask() {
    let padded = TokenBatch::from_padded(&[1, 2, 3, 4], &[1; 4], 2).unwrap();
    assert_eq!(padded, TokenBatch::from_rows(&[[1, 2], [3, 4]]).unwrap());
}

#[test]
fn integers_of_any_type_pack_to_the_same_batch() {
    let expected = TokenBatch::from_rows(&[vec![1, 2], vec![3]]).unwrap();
    assert_eq!(TokenBatch::from_padded(&[1i64, 2, 3, 0], &[1i64, 1, 1, 0], 2).unwrap(), expected);
    assert_eq!(
        TokenBatch::from_padded(&[1u8, 2, 3, 0], &[true, true, true, false], 2).unwrap(),
        expected
    );
}

#[test]
fn masked_values_are_not_converted() {
    let batch = TokenBatch::from_padded(&[1, -100], &[1, 0], 2).unwrap();
    assert_eq!(batch, TokenBatch::from_rows(&[[1]]).unwrap());
}

#[test]
fn rejects_values_outside_u32() {
    let error = TokenBatch::from_padded(&[1, 2, 3, -5], &[1, 1, 1, 1], 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input_ids of row 1 should be integers from 0 to 4294967295, found -5 at position 1"
    );
    let error = TokenBatch::from_padded(&[1, 2], &[1, 1i64 << 40], 2).unwrap_err();
    assert!(error.to_string().starts_with("attention_mask of row 0"), "{error}");
}

#[test]
fn parts_never_split_rows() {
    let rows: Vec<Vec<u32>> = [3, 4, 9, 1, 1, 1].map(|len| vec![1; len]).into();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let parts = |tokens, rows| batch.parts(tokens, rows).collect::<Vec<_>>();
    assert_eq!(parts(7, usize::MAX), [0..2, 2..3, 3..6]);
    assert_eq!(parts(100, 2), [0..2, 2..4, 4..6]);
}

#[test]
fn sub_batches_cover_the_batch() {
    let rows: Vec<Vec<u32>> = [3, 4, 9, 1].map(|len| vec![len as u32; len]).into();
    let batch = TokenBatch::from_rows(&rows).unwrap();
    let parts: Vec<SubBatch<'_>> = batch.sub_batches(7).collect();
    assert_eq!(parts.iter().map(|part| part.rows.clone()).collect::<Vec<_>>(), [0..2, 2..3, 3..4]);
    #[cfg(feature = "explain")]
    assert_eq!(parts[1].tokens, 7..16);
    assert_eq!(parts[0].lengths().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(parts[2].input_ids, [1]);
    #[cfg(feature = "explain")]
    assert_eq!(batch.as_sub_batch().lengths().collect::<Vec<_>>(), [3, 4, 9, 1]);
}

#[test]
fn takes_rows_of_another_batch() {
    let of = TokenBatch::from_padded(&[7, 8, 9, 5, 6, 0, 4, 0, 0], &[1, 0, 1, 1, 1, 0, 1, 0, 0], 3);
    let of = of.unwrap();
    let mut batch = TokenBatch::from_rows(&[[1, 2, 3, 4]]).unwrap();
    batch.set_rows(&of, &[2, 0]);
    assert_eq!(batch.input_ids(), [4, 7, 9]);
    assert_eq!(batch.positions(), [0, 0, 2]);
    assert_eq!(batch.cu_seqlens(), [0, 1, 3]);
    batch.set_rows(&of, &[0, 1, 2]);
    assert_eq!(batch, of);
}

#[test]
fn rows_of_another_batch_keep_ids_and_positions() {
    let other = TokenBatch::from_padded(&[7, 8, 9, 5, 6, 0], &[1, 0, 1, 1, 1, 0], 3).unwrap();
    let mut batch = TokenBatch::from_rows(&[[1, 2]]).unwrap();
    batch.append(&other, 0..1);
    assert_eq!((batch.input_ids(), batch.positions()), (&[1, 2, 7, 9][..], &[0, 1, 0, 2][..]));
    assert_eq!(batch.cu_seqlens(), [0, 2, 4]);
    batch.clear();
    assert_eq!(batch, TokenBatch::default());
    batch.append(&other, 0..2);
    assert_eq!(batch, other);
}

#[test]
fn default_batch_has_no_rows() {
    let batch = TokenBatch::default();
    assert_eq!((batch.rows(), batch.tokens()), (0, 0));
    assert_eq!(batch.parts(7, 7).count(), 0);
    assert!(matches!(batch.check(6, 3), Err(InputError::EmptyBatch)));
}

#[test]
fn rejects_ids_and_positions_outside_the_tables() {
    let batch = TokenBatch::from_rows(&[vec![1, 2], vec![3, 4, 5]]).unwrap();
    assert!(batch.check(6, 3).is_ok());
    assert!(matches!(batch.check(5, 3), Err(InputError::TokenId { row: 1, id: 5, vocab_size: 5 })));
    assert!(matches!(
        batch.check(6, 2),
        Err(InputError::TooManyTokens { row: 1, tokens: 3, limit: 2 })
    ));
}

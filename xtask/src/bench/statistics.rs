//! A few numbers about a few numbers.

/// The middle one, or the mean of the two in the middle; of none, not a number.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The least and the greatest.
pub(crate) fn spread(samples: &[f64]) -> (f64, f64) {
    samples.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sample| (low.min(*sample), high.max(*sample)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends() {
        for (samples, middle, ends) in
            [(vec![3.0, 1.0, 2.0], 2.0, (1.0, 3.0)), (vec![4.0, 1.0], 2.5, (1.0, 4.0)), (vec![7.0], 7.0, (7.0, 7.0))]
        {
            assert_eq!((median(&samples), spread(&samples)), (middle, ends));
        }
        assert!(median(&[]).is_nan());
    }
}

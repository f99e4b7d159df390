//! What several rounds say of one value.

/// Median, least and most.
#[derive(Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let (half, last) = (sorted.len() / 2, sorted.len().saturating_sub(1));
        let median =
            if sorted.len() % 2 == 1 { at(half) } else { (at(half.saturating_sub(1)) + at(half)) / 2.0 };
        Self { least: at(0), median, most: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(
            Spread::of([4.0, 1.0, 3.0, 2.0].into_iter()),
            Spread { least: 1.0, median: 2.5, most: 4.0 }
        );
        assert_eq!(Spread::of([5.0, 9.0, 7.0].into_iter()), Spread { least: 5.0, median: 7.0, most: 9.0 });
        assert_eq!(Spread::of(std::iter::empty()).median, 0.0);
    }
}

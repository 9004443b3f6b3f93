//! The order of runs: each with a tool has one without beside it, and what drifts over minutes
//! cancels out.

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Without any tool: the so-manieth such run of the round.
    Without(usize),
    /// With the tool of this index, to be compared with that run without.
    With(usize, usize),
}

/// The runs of a round over so many tools: without, two tools, without, two tools, … so that each is next
/// to one without. Every other round goes backwards, and each begins with another tool.
pub(crate) fn round(tools: usize, number: usize) -> Vec<Step> {
    let mut steps = vec![Step::Without(0)];
    let mut without = 0;
    for place in 0..tools {
        let tool = (place + number / 2) % tools;
        if place % 2 == 0 {
            steps.push(Step::With(tool, without));
        } else {
            without += 1;
            steps.extend([Step::With(tool, without), Step::Without(without)]);
        }
    }
    if number % 2 == 1 {
        steps.reverse();
    }
    steps
}

/// How many runs a round has.
pub(crate) fn runs(tools: usize) -> usize {
    round(tools, 0).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_beside_one_without() {
        for tools in 1..10 {
            for number in 0..4 {
                let steps = round(tools, number);
                let mut met = vec![0; tools];
                for (place, step) in steps.iter().enumerate() {
                    let Step::With(tool, without) = *step else { continue };
                    met[tool] += 1;
                    let beside = [place.wrapping_sub(1), place + 1].map(|place| steps.get(place).copied());
                    assert!(beside.contains(&Some(Step::Without(without))), "{tools} {number} {steps:?}");
                }
                assert!(met.iter().all(|count| *count == 1), "{tools} {number} {steps:?}");
            }
        }
    }
}

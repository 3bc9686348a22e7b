//! What is done to an image before the noise.

/// Copies the window of an image with `padding` zeros around it that begins `down` and `right`, mirrored or not.
pub(super) fn window(
    from: &[f32],
    to: &mut [f32],
    [_, height, width]: [usize; 3],
    padding: usize,
    (down, right): (usize, usize),
    mirrored: bool,
) {
    for (from, to) in from.chunks_exact(height * width).zip(to.chunks_exact_mut(height * width)) {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let Some(row) = (row + down).checked_sub(padding).filter(|&row| row < height) else { continue };
            let from = &from[row * width..(row + 1) * width];
            for (column, to) in to.iter_mut().enumerate() {
                let column = if mirrored { width - 1 - column } else { column };
                if let Some(value) = (column + right).checked_sub(padding).and_then(|column| from.get(column)) {
                    *to = *value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [f32; 4] = [1.0, 2.0, 3.0, 4.0];

    fn cut(shift: (usize, usize), mirrored: bool) -> [f32; 4] {
        let mut to = [0.0; 4];
        window(&IMAGE, &mut to, [1, 2, 2], 1, shift, mirrored);
        to
    }

    #[test]
    fn a_window_in_the_middle_is_the_image() {
        assert_eq!(cut((1, 1), false), IMAGE);
        assert_eq!(cut((1, 1), true), [2.0, 1.0, 4.0, 3.0]);
    }

    #[test]
    fn a_window_at_the_edge_holds_zeros() {
        assert_eq!(cut((0, 1), false), [0.0, 0.0, 1.0, 2.0]);
        assert_eq!(cut((2, 1), false), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(cut((1, 0), false), [0.0, 1.0, 0.0, 3.0]);
        assert_eq!(cut((1, 2), true), [0.0, 2.0, 0.0, 4.0]);
        assert_eq!(cut((2, 2), false), [4.0, 0.0, 0.0, 0.0]);
    }
}

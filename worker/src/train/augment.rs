//! What is done to an image before the noise.

/// Copies the window of an image with `padding` zeros around it that begins `down` and `right`,
/// mirrored or not.
pub(super) fn window(
    from: &[f32],
    to: &mut [f32],
    [_, height, width]: [usize; 3],
    padding: usize,
    (down, right): (usize, usize),
    mirrored: bool,
) {
    // Columns of the window that hold columns of the image, before it is mirrored.
    let inside = padding.saturating_sub(right)..(width + padding).saturating_sub(right).min(width);
    for (from, to) in from
        .chunks_exact(height * width)
        .zip(to.chunks_exact_mut(height * width))
    {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let Some(row) = (row + down)
                .checked_sub(padding)
                .filter(|&row| row < height)
            else {
                continue;
            };
            let from = &from[row * width..][inside.start + right - padding..][..inside.len()];
            if mirrored {
                let to = &mut to[width - inside.end..width - inside.start];
                to.iter_mut()
                    .rev()
                    .zip(from)
                    .for_each(|(to, from)| *to = *from);
            } else {
                to[inside.clone()].copy_from_slice(from);
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

    #[test]
    fn every_window_is_what_a_padded_image_shows() {
        let (height, width, padding) = (3, 5, 2);
        let image: Vec<f32> = (1..=2 * 15u8).map(f32::from).collect();
        let pixel = |channel: usize, row: usize, column: usize| {
            let inside = (padding..padding + height).contains(&row)
                && (padding..padding + width).contains(&column);
            if inside {
                image[channel * 15 + (row - padding) * width + column - padding]
            } else {
                0.0
            }
        };
        for (down, right, mirrored) in
            (0..=4).flat_map(|d| (0..=4).flat_map(move |r| [false, true].map(|m| (d, r, m))))
        {
            let mut found = vec![0.0; 30];
            window(
                &image,
                &mut found,
                [2, height, width],
                padding,
                (down, right),
                mirrored,
            );
            let column = |column| if mirrored { width - 1 - column } else { column };
            let at = |place: usize| {
                pixel(
                    place / 15,
                    place % 15 / width + down,
                    column(place % width) + right,
                )
            };
            assert_eq!(
                found,
                (0..30).map(at).collect::<Vec<_>>(),
                "{down} {right} {mirrored}"
            );
        }
    }
}

"""Your own images: a folder, zip or tar of images, at any size; then a grid, an interpolation's latents and an FD.

python examples/your_own_images.py IMAGES [KIMG]
"""

import sys

import resgan


def main() -> None:
    images, kimg = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1000"
    options = resgan.configure(
        "data=folder",
        f"data.path={images}",
        "data.size=32",  # resized and cropped to 32 x 32
        "data.flip=true",  # half of them mirrored
        "disc.residual=false",
        f"total_kimg={kimg}",
        f"metrics.samples={1000 if float(kimg) < 10 else 10_000}",
        "wandb=disabled",
    )
    result = resgan.fit(options)
    print(result.path, result.scores)

    gan = resgan.load_gan(result.checkpoint)
    first, last = gan.latents([0, 1])
    steps = [first.lerp(last, k / 7) for k in range(8)]
    between = gan.generate(first.new_tensor([step.tolist() for step in steps]))  # (8, C, H, W) in [-1, 1]
    print("between two seeds:", tuple(between.shape))

    fakes = gan.sample(seeds=range(256))
    print("the same from tensors:", resgan.score(fakes, images, "size=32", "metrics.scores=[frechet]"))


if __name__ == "__main__":
    main()

"""A GAN on points in the plane, about a minute: residual blocks in G, none in D, and what the samples look like.

python examples/points_in_a_minute.py [KIMG]
"""

import sys

import resgan


def main() -> None:
    kimg = sys.argv[1] if len(sys.argv) > 1 else "512"
    options = resgan.configure(
        "data=gaussians",
        "generator.residual=true",
        "disc.residual=false",
        f"total_kimg={kimg}",
        "wandb=disabled",
    )
    result = resgan.fit(options)
    print(f"tv {result.scores['tv']:.3f}, validity {result.scores['validity']:.3f}")

    gan = resgan.load_gan(result.checkpoint)
    points = gan.sample(seeds=range(9))  # (9, 2); seed 7 gives the same point every time
    print(points)
    print("samples as an image:", *sorted(result.path.glob("samples/*.png"))[-1:])


if __name__ == "__main__":
    main()

"""Options, composed as for a user."""

from pathlib import Path

from resgan.base.plain_data import nested as nested

# A run of one second: tiny networks on points in the plane, with exact scores only.
TINY = [
    "data=gaussians",
    "data.size=500",
    "generator.width=16",
    "disc.width=16",
    "generator.blocks=1",
    "disc.blocks=1",
    "generator.latent_dim=4",
    "metrics=exact",
    "metrics.samples=500",
    "batch_size=50",
    "score_kimg=1",
    "sample_kimg=0",
    "save_kimg=1",
    "total_kimg=3",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "loss.r1_interval=2",
]


def options_of(*overrides: str, config: str = "train") -> dict:
    """Compose conf/ and overrides by Hydra, as plain data."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    conf = Path(__file__).resolve().parents[2] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        return OmegaConf.to_container(compose(config, list(overrides)), resolve=True)

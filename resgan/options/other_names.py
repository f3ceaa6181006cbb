"""Names of options and values in other tools, so that the first word that comes to mind leads to ours."""

from collections.abc import Collection, Iterator
from typing import NamedTuple


class OtherNames(NamedTuple):
    """Names of other tools, in lower case with _; the options that mean the same here; what else to know."""

    names: str
    here: str
    note: str = ""


OTHER_NAMES = (
    # How long, and how much at a time.
    OtherNames(
        "epoch epochs max_epochs num_epochs n_epochs step steps max_steps num_steps total_steps iter iters max_iter "
        "max_iters num_iters n_iters niter iterations total_iters kimg max_kimg img nimg total_nimg length duration",
        "total_kimg",
        "thousands of real images; E epochs of N images are E N / 1000, S steps are S batch_size / 1000",
    ),
    OtherNames("batch bs batchsize batch_gpu minibatch mini_batch_size train_batch_size", "batch_size"),
    OtherNames("n_critic ncritic critic_iters critic_steps d_steps n_disc num_d_steps", "disc.steps"),
    # The switch, and the networks.
    OtherNames("residual residuals use_residual skip skips skip_connections", "generator.residual disc.residual"),
    OtherNames("z_dim zdim dim_z nz latent latent_dim latent_size noise_dim noise_size z_size", "generator.latent_dim"),
    OtherNames("ngf g_channels", "generator.width"),
    OtherNames("ndf d_channels", "disc.width"),
    OtherNames("channels ch base_channels num_channels width hidden_dim", "generator.width disc.width"),
    OtherNames("blocks n_blocks num_blocks depth layers n_layers num_layers", "generator.blocks disc.blocks"),
    OtherNames("norm norm_layer normalization normalisation batch_norm", "generator.norm disc.norm"),
    OtherNames("spectral spectral_norm sn", "generator.spectral disc.spectral"),
    OtherNames("cond conditional class_cond num_classes", "generator.conditional disc.conditional"),
    OtherNames(
        "ckpt_path checkpoint checkpoint_path model model_path network network_pkl weights load pretrained", "ckpt"
    ),
    OtherNames("model arch architecture network net", "generator disc"),
    # How they learn.
    OtherNames("lr learning_rate learningrate base_lr", "generator.lr disc.lr"),
    OtherNames("glr g_lr lr_g lrg generator_lr lr_generator", "generator.lr"),
    OtherNames("dlr d_lr lr_d lrd disc_lr lr_disc lr_discriminator discriminator_lr", "disc.lr"),
    OtherNames("betas beta beta1 beta2 b1 b2 adam_betas", "generator.betas disc.betas"),
    OtherNames("scheduler lr_scheduler lr_decay lr_schedule decay", "generator.decay disc.decay"),
    OtherNames("ema use_ema ema_decay ema_beta ema_rate ema_nimg", "generator.ema_kimg", "a half-life; 0 for none"),
    OtherNames("gan_mode gan_loss adversarial_loss loss_type loss_fn objective criterion", "loss"),
    OtherNames("gamma r1_gamma reg r1 r2", "loss.r1 loss.r2"),
    OtherNames("gp gp_weight gp_lambda lambda_gp gradient_penalty", "loss.gp"),
    OtherNames("aug ada diffaug augmentation augmentations", "augment"),
    # The data.
    OtherNames("dataset dataset_name data_set", "data", "as in data=cifar10, or data=folder data.path=PATH"),
    OtherNames(
        "dataroot data_dir data_path data_root dataset_path image_dir images path root",
        "data.path data.root",
        "as in data=folder data.path=PATH or data=cifar10 data.root=PATH",
    ),
    OtherNames("img_size image_size imsize imgsize resolution res size", "data.size size"),
    OtherNames("mirror xflip hflip flip horizontal_flip", "data.flip"),
    # The machine.
    OtherNames("gpu cuda use_cuda use_gpu device accelerator", "trainer.accelerator=gpu device=gpu"),
    OtherNames("no_cuda cpu", "trainer.accelerator=cpu device=cpu"),
    OtherNames("gpus ngpu n_gpus n_gpu num_gpus devices num_devices world_size", "trainer.devices"),
    OtherNames("nnodes num_nodes n_nodes", "trainer.nodes"),
    OtherNames(
        "fp16 bf16 half amp use_amp use_fp16 mixed_precision precision",
        "trainer.precision",
        "32-true, bf16-mixed or auto",
    ),
    OtherNames("threads n_threads num_threads", "trainer.threads"),
    OtherNames("torch_compile jit compile", "trainer.compile"),
    OtherNames("progress progress_bar enable_progress_bar verbose quiet", "trainer.progress progress"),
    OtherNames(
        "workers num_workers n_workers n_cpu loader_workers data_loader_workers",
        "trainer.threads",
        "the data lie in memory, so there are no workers that load them",
    ),
    OtherNames("random_seed rand_seed manual_seed manualseed rng_seed", "seed"),
    OtherNames("n_seeds num_seeds repeats", "seeds", "as in seeds=0-7"),
    # Files, and what is kept when.
    OtherNames(
        "out outdir out_dir output output_dir save_dir savedir log_dir logdir results_dir checkpoint_dir ckpt_dir "
        "exp_dir work_dir workdir default_root_dir rundir",
        "run_dir outdir",
    ),
    OtherNames(
        "resume resume_from resume_path resume_from_checkpoint restore load load_path pretrained continue "
        "continue_train ckpt ckpt_path checkpoint checkpoint_path",
        "run_dir",
        "the same command with the run_dir of a run continues it",
    ),
    OtherNames("snap save_every save_freq save_interval ckpt_every ckpt_interval checkpoint_interval", "save_kimg"),
    OtherNames("sample_every sample_freq sample_interval image_snap", "sample_kimg"),
    OtherNames("eval_every eval_freq eval_interval val_check_interval fid_every fid_freq", "score_kimg"),
    OtherNames("fid metric eval_metrics scores", "metrics"),
    OtherNames("num_samples n_samples num_images n_images", "metrics.samples"),
    OtherNames("num_samples n_samples num_images n_images num", "seeds", "as in seeds=0-63"),
    OtherNames("trunc truncation_psi psi", "truncation"),
    # Where values are shown.
    OtherNames("logger loggers log log_to report_to", "wandb tensorboard csv", "as in wandb=disabled tensorboard=true"),
    OtherNames("use_wandb no_wandb", "wandb", "auto, online, offline or disabled"),
    OtherNames("tb use_tensorboard tensorboard_dir", "tensorboard"),
    OtherNames("name exp exp_name run_name experiment_name", "wandb.name run_dir"),
    OtherNames("project project_name wandb_project", "wandb.project"),
    OtherNames("entity wandb_entity", "wandb.entity"),
    OtherNames("tags wandb_tags", "wandb.tags"),
)

# Groups whose options other tools keep under another name.
OTHER_GROUPS = {
    "generator": "g gen netg g_net net_g generator_network",
    "disc": "d dis netd d_net net_d discriminator critic",
    "data": "dataset datamodule",
}

# Values that other tools have, and the value that means the same: by option, or by group of files.
OTHER_VALUES = {
    "trainer.accelerator device": {"cuda": "gpu", "cuda:0": "gpu", "nvidia": "gpu", "metal": "mps"},
    "trainer.precision": {"bf16": "bf16-mixed", "16-mixed": "bf16-mixed", "fp16": "bf16-mixed", "32": "32-true"},
    "wandb wandb.mode": {
        "true": "auto",
        "false": "disabled",
        "null": "disabled",
        "none": "disabled",
        "off": "disabled",
    },
    "loss loss.name": {"wgan": "wasserstein", "lsgan": "least_squares", "ns": "nonsaturating", "bce": "nonsaturating"},
    "augment": {"true": "adaptive", "false": "none", "ada": "adaptive", "diffaug": "diffaugment"},
    "format": {"folder": "png", "images": "png"},
}


def options_called(name: str, known: Collection[str]) -> tuple[list[str], str]:
    """Return the options among `known` that another tool calls `name`, and what else to know; ([], "") for none."""
    return next(((here, note) for names, here, note in _rows(known) if _plain(name) in names), ([], ""))


def names_elsewhere(known: Collection[str]) -> list[str]:
    """List the names of other tools for the options among `known`."""
    return [name for names, _, _ in _rows(known) for name in names]


def _rows(known: Collection[str]) -> Iterator[tuple[list[str], list[str], str]]:
    for row in OTHER_NAMES:
        if here := [option for option in row.here.split() if is_known(option.partition("=")[0], known)]:
            yield row.names.split(), here, row.note


def is_name_elsewhere(name: str) -> bool:
    return any(_plain(name) in row.names.split() for row in OTHER_NAMES)


def is_known(option: str, known: Collection[str]) -> bool:
    """Check for an option, or a group of them."""
    return any(one == option or one.startswith(f"{option}.") for one in known)


def group_called(name: str) -> str | None:
    """Return the group of options that another tool calls `name`."""
    return next((group for group, names in OTHER_GROUPS.items() if _plain(name) in names.split()), None)


def value_called(option: str, value: object) -> str | None:
    """Return the value of an option that another tool calls `value`."""
    said = str(value).lower()
    return next((values.get(said) for options, values in OTHER_VALUES.items() if option in options.split()), None)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")

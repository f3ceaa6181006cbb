"""Images as torch-fidelity takes them."""

from torch import Tensor
from torch.utils.data import Dataset


class Pictures(Dataset):
    """uint8 images (N, C, H, W), one by one."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]

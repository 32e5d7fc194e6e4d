"""ResNet-8 with exits on CIFAR-10."""
